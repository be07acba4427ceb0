"""From a recipe to replies: which adapters act for a persona, what the prompt says, which memories it shows.

A plain recipe is {"adapters": [{"run", "name"}], "profile": bool, "memories": k}. Its adapters act together;
one without a name is each persona's own, as the run's personas.json says: a weighted sum of adapters. With
"remote" in the place of adapters a model elsewhere answers (engine/lm/remote/). Routes, mixtures and placebos
are made of plain recipes: engine/lm/routed.py takes them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core import integrity
from engine.core.base_identity import refuse_other_weights
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.core.types import Message
from engine.lm.adapters import Lora, load_lora
from engine.lm.bank import Change, change_of
from engine.lm.encode import encode_prompt
from engine.lm.load import Base
from engine.lm.prefix import Prefix, is_prefix, load_prefix
from engine.lm.prompts import Memory, chat, system_text
from engine.lm.remote.endpoint import Endpoint, read_endpoint
from engine.lm.retrieve import fit

PERSONAS = "personas.json"
Part = tuple[str, str, float]
"""One adapter in a weighted sum: run id, adapter name, weight."""


class NotCovered(EngineError):
    """A variant that does not exist for a persona: nobody trained, routed or paired her."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to answer for one persona. `adapters` are (run id, adapter name) pairs, applied together.

    An empty name stands for each persona's own adapter of that run. `recency` is the share that the age of a
    memory has in its choice, 0 for likeness alone. `remote` is the model that answers in the base's place.
    """

    adapters: tuple[tuple[str, str], ...] = ()
    profile: bool = False
    memories: int = 0
    recency: float = 0.0
    remote: Endpoint | None = None

    def as_json(self) -> dict[str, Any]:
        adapters = [{"run": run, **({"name": name} if name else {})} for run, name in self.adapters]
        acting = {"remote": self.remote.as_json()} if self.remote else {"adapters": adapters}
        recent = {"recency": self.recency} if self.memories and self.recency else {}
        return {**acting, "profile": self.profile, "memories": self.memories, **recent}

    def refuse_remote(self) -> None:
        """Raise EngineError where a remote model would have to answer as the base does, token by token."""
        if self.remote is not None:
            raise EngineError(
                f"{self.remote.model} is a remote model: it gives whole replies, nothing to mix or merge.",
                "It answers in runs of the experiment frontier, and in: python -m engine generate",
            )


@dataclass(frozen=True, slots=True)
class Side:
    """One plain recipe's part in an answer: whose adapters, memories and profile it takes, and its weight."""

    recipe: Recipe
    persona_id: str
    weight: float = 1.0


def read_recipe(value: Mapping[str, Any]) -> Recipe:
    """Return the plain recipe written as JSON. Raises EngineError when it asks for something unknown."""
    unknown = set(value) - {"adapters", "profile", "memories", "recency", "remote"}
    if unknown:
        raise EngineError(
            f"This recipe cannot answer: {', '.join(sorted(unknown))} is not known here.",
            "Choose another variant.",
        )
    adapters = tuple((entry["run"], entry.get("name", "")) for entry in value.get("adapters", ()))
    memories, recency = int(value.get("memories", 0)), float(value.get("recency", 0.0))
    remote = read_endpoint(value["remote"]) if value.get("remote") else None
    return Recipe(adapters, bool(value.get("profile", False)), memories, recency, remote)


def write_personas(ws: Workspace, run_id: str, parts: Mapping[str, Sequence[Part]]) -> None:
    """Write which weighted sum of adapters stands for each persona in a run's models folder."""
    entries = {
        persona: [{"run": run, "name": name, "weight": weight} for run, name, weight in sum_]
        for persona, sum_ in sorted(parts.items())
    }
    write_json(ws.adapters(run_id) / PERSONAS, entries)


def read_personas(ws: Workspace, run_id: str) -> dict[str, tuple[Part, ...]]:
    """Return the weighted sum of adapters of each persona that the run has one for."""
    path = integrity.adapter(ws, run_id, PERSONAS)
    if not path.exists():
        raise EngineError(
            f"{run_id} has no adapters of its own for single personas.",
            f"Resume or repeat the run: python -m engine resume {run_id}",
        )
    return {
        persona: tuple((part["run"], part["name"], float(part["weight"])) for part in parts)
        for persona, parts in read_json(path).items()
    }


class Shelf:
    """The adapters of a workspace, read once each. Personas of one weighted sum share one change."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._adapters: dict[tuple[str, str], Lora | Prefix] = {}
        self._maps: dict[str, dict[str, tuple[Part, ...]]] = {}
        self._changes: dict[tuple[Part, ...], Change | None] = {}
        self._over_todays: set[str] = set()

    def covers(self, recipe: Recipe, persona_id: str) -> bool:
        """Say whether every adapter of the recipe exists for this persona."""
        return all(name or persona_id in self._map(run) for run, name in recipe.adapters)

    def parts(self, recipe: Recipe, persona_id: str) -> tuple[Part, ...]:
        """Return the weighted sum of adapters that the recipe means for this persona."""
        recipe.refuse_remote()
        found: list[Part] = []
        for run, name in recipe.adapters:
            if not name and persona_id not in self._map(run):
                raise NotCovered(
                    f"{run} has no adapter for persona {persona_id}.",
                    "Run it for all personas, or choose one of those it was trained on.",
                )
            found += [(run, name, 1.0)] if name else self._map(run)[persona_id]
        return tuple(found)

    def change(self, recipe: Recipe, persona_id: str) -> Change | None:
        """Return what the recipe changes in the base for this persona; None when nothing."""
        parts = self.parts(recipe, persona_id)
        if parts not in self._changes:
            loaded = [(self.adapter(run, name), weight) for run, name, weight in parts]
            loras = [(one, weight) for one, weight in loaded if isinstance(one, Lora)]
            prefixes = [one.states for one, _ in loaded if isinstance(one, Prefix)]
            if len(prefixes) > 1:
                raise EngineError("A recipe can hold one prefix only.", "Choose another variant.")
            self._changes[parts] = change_of(loras, prefixes[0] if prefixes else None)
        return self._changes[parts]

    def adapter(self, run: str, name: str) -> Lora | Prefix:
        """Return one adapter. Raises EngineError when its folder is not there."""
        if (run, name) not in self._adapters:
            if run not in self._over_todays:
                refuse_other_weights(self._ws, run)
                self._over_todays.add(run)
            folder = integrity.adapter(self._ws, run, name)
            self._adapters[run, name] = load_prefix(folder) if is_prefix(folder) else load_lora(folder)
        return self._adapters[run, name]

    def lora(self, run: str, name: str) -> Lora:
        """Return one low-rank adapter. Raises EngineError when it is something else."""
        found = self.adapter(run, name)
        if not isinstance(found, Lora):
            raise EngineError(f"{name} of {run} is a prefix, not a LoRA.", "Choose LoRA adapters.")
        return found

    def _map(self, run: str) -> dict[str, tuple[Part, ...]]:
        if run not in self._maps:
            self._maps[run] = read_personas(self._ws, run)
        return self._maps[run]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's token ids and the memories that it had room for."""

    ids: list[int]
    memories: tuple[Memory, ...]


def build_prompt(
    base: Base,
    messages: Sequence[Message],
    *,
    meta: Mapping[str, Any] | None,
    character: str | None,
    memories: Sequence[Memory] = (),
    budget_tokens: int,
) -> Prompt:
    """Return the prompt for a reply to `messages`, with as many memories as the budget has room for."""

    def ids(shown: Sequence[Memory]) -> list[int]:
        system = system_text(meta=meta, character=character, memories=shown)
        return encode_prompt(base.tokenizer, chat(system, messages))

    kept = fit(memories, lambda shown: len(ids(shown)), budget_tokens)
    return Prompt(ids(kept), tuple(kept))


def prompt_budget(base: Base, max_new_tokens: int, *, most: int = 1536) -> int:
    """Return how many tokens a prompt may have: the model's window less the reply, at most `most`."""
    window = getattr(base.model.config, "max_position_embeddings", None) or most
    return max(16, min(most, int(window) - max_new_tokens))
