"""From a recipe to what acts for one persona: references followed, files loaded, prompts built.

Owns what runs hold for each persona (personas.json: effects of her own; routes.json: the recipe chosen for
her, and who has the fallback, being kept out of training; chosen.json: one chosen for all; placebo.json: who
stands in for whom) and how nested recipes come down to sides, of which each is one row of a batch. Chooses
nothing. Which effects there are: engine/lm/effects.py.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.core import integrity
from engine.core.base_identity import refuse_other_weights
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.core.types import Message
from engine.domains.domain import Domain
from engine.lm.activations import Offsets, load_offsets
from engine.lm.adapters import Lora, effect_kind, load_lora
from engine.lm.arrow import AdapterLibrary, load_library
from engine.lm.bank import Change, change_of
from engine.lm.effects import (
    STORED,
    Activations,
    Library,
    Logits,
    Own,
    Prefix,
    Prompt,
    Recipe,
    Stored,
    Swapped,
    Weights,
    read_recipe,
)
from engine.lm.encode import encode_prompt
from engine.lm.lengths import TooLong
from engine.lm.load import Base
from engine.lm.mixture import refuse_power
from engine.lm.prefix import PrefixStates, load_prefix
from engine.lm.prompts import Memory, chat, system_text
from engine.lm.remote.endpoint import Endpoint
from engine.lm.retrieve import fit
from engine.lm.window import MEMORIES_TOKENS, newest

PERSONAS, ROUTES, PLACEBO = "personas.json", "routes.json", "placebo.json"
STRANGERS = "strangers"
CHOSEN = "chosen.json"
Loaded = Lora | PrefixStates | Offsets | AdapterLibrary
_LOADING: Mapping[str, Callable[[Path], Loaded]] = {
    Prefix.kind: load_prefix,
    Activations.kind: load_offsets,
    Library.kind: load_library,
}


class NotCovered(EngineError):
    """A variant that does not exist for a persona: nobody trained, routed or paired her."""


@dataclass(frozen=True, slots=True)
class Side:
    """One row's part in an answer: what acts in it, and whose profile and memories its prompt shows.

    The next token's probabilities are the sum over groups of `weight` times the softmax of the sum over the
    group's sides of `coefficient` times their logits. Of several pools each is such a sum, and they are the
    softmax of the sum over pools of `power` times its logarithm. A plain recipe has one side.
    """

    effects: tuple[Stored, ...]
    prompt: Prompt
    persona_id: str
    weight: float = 1.0
    coefficient: float = 1.0
    group: int = 0
    pool: int = 0
    power: float = 1.0
    remote: Endpoint | None = None

    def refuse_remote(self) -> None:
        """Raise EngineError where a remote model would have to answer as the base does, token by token."""
        if self.remote is not None:
            raise EngineError(
                f"{self.remote.model} is a remote model: it gives whole replies, nothing to mix or merge.",
                "It answers in runs of the experiment frontier, and in: python -m engine generate",
            )


def _places(names: Iterable[int]) -> dict[int, int]:
    """Return each name's place, in the order in which they come."""
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


@dataclass(frozen=True, slots=True)
class Followed:
    """One reference followed on the way to a side: the run, and what it says of a choice, if it made one."""

    run: str
    told: Mapping[str, Any]


def write_personas(
    ws: Workspace, run_id: str, own: Mapping[str, Sequence[Stored]], *, name: str = PERSONAS
) -> None:
    """Write which effects stand for each persona in a run's models folder."""
    entries = {
        persona: Recipe(tuple(effects)).as_json()["effects"] for persona, effects in sorted(own.items())
    }
    write_json(ws.adapters(run_id) / name, entries)


def read_personas(ws: Workspace, run_id: str, *, name: str = PERSONAS) -> dict[str, tuple[Stored, ...]]:
    """Return the effects of each persona that the run has some for."""
    path = integrity.adapter(ws, run_id, name)
    if not path.exists():
        raise EngineError(
            f"{run_id} has no adapters of its own for single personas.",
            f"Resume or repeat the run: python -m engine resume {run_id}",
        )
    return {persona: _stored(entries) for persona, entries in read_json(path).items()}


def _stored(entries: Sequence[Mapping[str, Any]]) -> tuple[Stored, ...]:
    """Read effects that lie in files; before there were kinds, each was a run, a name and a weight."""
    told = [{"kind": Weights.kind, **entry} for entry in entries]
    effects = read_recipe({"effects": told}).effects
    kept = tuple(effect for effect in effects if isinstance(effect, Stored))
    if len(kept) != len(effects):
        raise EngineError(f"{PERSONAS} may hold {', '.join(STORED)} only.", "Repeat the run that wrote it.")
    return kept


class Shelf:
    """What the runs of a workspace left to act, read once each. Rows of one sum share one change."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._own: dict[str, dict[str, tuple[Stored, ...]]] = {}
        self._told: dict[tuple[str, str], Any] = {}
        self._for_all: dict[str, Recipe | None] = {}
        self._over_todays: set[str] = set()
        self._changes: dict[tuple[Stored, ...], Change | None] = {}

    def sides(self, recipe: Recipe, persona_id: str) -> tuple[Side, ...]:
        """Return the sides that answer for a persona; weights of a pool's groups are above 0 and sum to 1.

        Raises NotCovered when a run has no place for her, EngineError when what it left is gone or the recipe
        cannot be one answer.
        """
        groups: dict[int, dict[Side, float]] = {}
        for side in self._sides(recipe, persona_id, itertools.count()):
            if side.weight > 0 and side.power != 0:
                own, key = groups.setdefault(side.group, {}), replace(side, coefficient=0.0)
                own[key] = own.get(key, 0.0) + side.coefficient  # equal rows of a sum of logits are one row
        found: dict[Side, Side] = {}
        for own in groups.values():
            rows = [replace(side, coefficient=share) for side, share in own.items() if share != 0]
            for side in rows:  # so are equal rows of a sum of probabilities
                key = replace(side, weight=0.0, group=-1) if len(rows) == 1 else side
                found[key] = replace(side, weight=side.weight + found[key].weight) if key in found else side
        number = _places(one.group for one in found.values())
        pool = _places(one.pool for one in found.values())
        return tuple(replace(one, group=number[one.group], pool=pool[one.pool]) for one in found.values())

    def covers(self, recipe: Recipe, persona_id: str) -> bool:
        """Say whether the recipe exists for this persona: every reference in it has a place for her."""
        try:
            self.sides(recipe, persona_id)
        except NotCovered:
            return False
        return True

    def followed(self, recipe: Recipe, persona_id: str) -> Iterator[Followed]:
        """Yield the references that lead to a persona's sides, outermost first."""
        for effect in recipe.effects:
            if isinstance(effect, Own) and effect.chosen:
                chosen, told = self._chosen(effect.run, persona_id)
                yield Followed(effect.run, told)
                yield from self.followed(chosen, persona_id)
            elif isinstance(effect, Own):
                yield Followed(effect.run, {})
            elif isinstance(effect, Logits):
                yield from self.followed(effect.first, persona_id)
                yield from self.followed(effect.second, persona_id)
            elif isinstance(effect, Swapped):
                yield from self.followed(effect.of, self._stand_in(effect.run, persona_id))

    def change(self, effects: Sequence[Stored]) -> Change | None:
        """Return what effects together change in the base; None when nothing."""
        key = tuple(effects)
        if key not in self._changes:
            loras, prefixes, offsets, libraries = [], [], [], []
            for effect in key:
                loaded = self.adapter(effect.run, effect.name)
                if isinstance(loaded, Lora):
                    loras.append((loaded, effect.weight if isinstance(effect, Weights) else 1.0))
                elif isinstance(loaded, PrefixStates):
                    prefixes.append(loaded.states)
                elif isinstance(loaded, AdapterLibrary):
                    libraries.append(loaded)
                else:
                    offsets.append((loaded, effect.scale if isinstance(effect, Activations) else 1.0))
            if len(prefixes) > 1:
                raise EngineError("A recipe can hold one prefix only.", "Choose another variant.")
            self._changes[key] = change_of(loras, prefixes[0] if prefixes else None, offsets, libraries)
        return self._changes[key]

    def keep(self, most: int) -> None:
        """Let go of all changes but the `most` made last; one that is asked for again is made anew."""
        for key in list(self._changes)[:-most]:
            del self._changes[key]

    def adapter(self, run: str, name: str) -> Loaded:
        """Return what a run stored under a name. Raises EngineError when its folder is not there."""
        if (run, name) not in self._loaded:
            if run not in self._over_todays:
                refuse_other_weights(self._ws, run)
                self._over_todays.add(run)
            folder = integrity.adapter(self._ws, run, name)
            self._loaded[run, name] = _LOADING.get(effect_kind(folder), load_lora)(folder)
        return self._loaded[run, name]

    def lora(self, run: str, name: str) -> Lora:
        """Return one low-rank adapter. Raises EngineError when it is something else."""
        found = self.adapter(run, name)
        if not isinstance(found, Lora):
            kind = effect_kind(self._ws.adapter(run, name))
            raise EngineError(f"{name} of {run} is no LoRA but {kind}.", "Choose LoRA adapters.")
        return found

    def kind(self, effect: Stored) -> str:
        """Return what a stored effect is by its file; by its record where the file is gone."""
        return effect_kind(self._ws.adapter(effect.run, effect.name)) or effect.kind

    def _sides(self, recipe: Recipe, persona_id: str, groups: Iterator[int]) -> list[Side]:
        acting: list[Stored] = []
        within: list[Side] | None = None
        for effect in recipe.effects:
            if isinstance(effect, Prompt):
                continue
            if isinstance(effect, Own) and not effect.chosen:
                acting += self._own_effects(effect.run, persona_id)
            elif isinstance(effect, Own | Swapped | Logits):
                if within is not None:
                    raise EngineError(
                        "A recipe can hold one combination or choice only.", "Choose another variant."
                    )
                within = self._within(effect, persona_id, groups)
            else:
                acting.append(effect)
        if within is None:
            within = [Side((), Prompt(), persona_id, group=next(groups), remote=recipe.remote)]
        return [
            replace(one, effects=(*one.effects, *acting), prompt=one.prompt.under(recipe.prompt))
            for one in within
        ]

    def _within(self, effect: Own | Swapped | Logits, persona_id: str, groups: Iterator[int]) -> list[Side]:
        if isinstance(effect, Own):
            return self._sides(self._chosen(effect.run, persona_id)[0], persona_id, groups)
        if isinstance(effect, Swapped):
            return self._sides(effect.of, self._stand_in(effect.run, persona_id), groups)
        first = self._sides(effect.first, persona_id, groups)
        second = self._sides(effect.second, persona_id, groups)
        if effect.on == "probabilities":
            for one in (*first, *second):
                refuse_power(one.power)
            shares = [(one, effect.weight) for one in first] + [(one, 1 - effect.weight) for one in second]
            return [replace(one, weight=one.weight * share, pool=0) for one, share in shares]
        parts = (first, 1 + effect.weight), (second, -effect.weight)
        if all(len({one.group for one in part}) == 1 for part, _ in parts):
            group = next(groups)
            return [
                replace(one, group=group, coefficient=one.coefficient * share)
                for part, share in parts
                for one in part
            ]
        pools = {(place, one.pool): next(groups) for place, (part, _) in enumerate(parts) for one in part}
        return [
            replace(one, pool=pools[place, one.pool], power=one.power * share)
            for place, (part, share) in enumerate(parts)
            for one in part
        ]

    def _own_effects(self, run: str, persona_id: str) -> tuple[Stored, ...]:
        if run not in self._own:
            self._own[run] = read_personas(self._ws, run)
        if persona_id not in self._own[run]:
            raise NotCovered(
                f"{run} has no adapter for persona {persona_id}.",
                "Run it for all personas, or choose one of those it was trained on.",
            )
        return self._own[run][persona_id]

    def _chosen(self, run: str, persona_id: str) -> tuple[Recipe, Mapping[str, Any]]:
        """Return the recipe that a run chose for a persona, and what it says of the choice.

        One that it chose for everybody, among settings of one thing, is no route: it says nothing of her.
        """
        if run not in self._for_all:
            path = integrity.result(self._ws, run, CHOSEN)
            self._for_all[run] = read_recipe(read_json(path)["recipe"]) if path.exists() else None
        if (found := self._for_all[run]) is not None:
            return found, {}
        routes = self._left(run, ROUTES, "routes")
        known = routes["routes"]
        if persona_id in routes.get(STRANGERS, ()):
            known = {persona_id: {"variant": routes["fallback"], "gain_val": None}}
        if persona_id not in known:
            raise NotCovered(
                f"{run} has no route for persona {persona_id}.",
                "Route again, among variants that are scored for her: python -m engine run routing",
            )
        route = known[persona_id]
        told = {**{name: routes.get(name) for name in ("metric", "fallback")}, **route}
        return read_recipe(routes["candidates"][route["variant"]]["recipe"]), told

    def _stand_in(self, run: str, persona_id: str) -> str:
        """Return the persona whose effects and memories a run gives to this one."""
        donors: Mapping[str, str] = self._left(run, PLACEBO, "pairs")["donors"]
        if persona_id not in donors:
            raise NotCovered(
                f"{run} pairs persona {persona_id} with nobody.",
                "The variant that it is the placebo of is not scored for her.",
            )
        return donors[persona_id]

    def _left(self, run: str, name: str, what: str) -> Any:
        if (run, name) not in self._told:
            path = integrity.result(self._ws, run, name)
            if not path.exists():
                raise EngineError(
                    f"{run} has left no {what}.", f"Repeat the run: python -m engine resume {run}"
                )
            self._told[run, name] = read_json(path)
        return self._told[run, name]


@dataclass(frozen=True, slots=True)
class Built:
    """A prompt's token ids, the memories that it had room for, and how many of both had to go."""

    ids: list[int]
    memories: tuple[Memory, ...]
    memories_cut: int = 0
    turns_cut: int = 0


def build_prompt(
    base: Base,
    domain: Domain,
    messages: Sequence[Message],
    *,
    meta: Mapping[str, Any] | None,
    character: str | None,
    memories: Sequence[Memory] = (),
    room: int,
) -> Built:
    """Return the prompt for a reply to `messages`, cut by the rule of engine/lm/window.py to `room` tokens.

    Raises TooLong when the query does not fit even alone.
    """

    made: dict[tuple[int, ...], list[int]] = {}

    def ids(said: Sequence[Message], shown: Sequence[Memory]) -> list[int]:
        key = (len(said), *map(id, shown))  # of the messages the oldest go first
        if key not in made:
            system = system_text(domain, meta=meta, character=character, memories=shown)
            made[key] = encode_prompt(base.tokenizer, chat(system, said))
        return made[key]

    shown = fit(memories, lambda some: len(ids(messages, some)), min(room, MEMORIES_TOKENS))
    said = newest(messages, lambda some: len(ids(some, shown)), room)
    if said is None:
        raise TooLong(
            f"The message with its instruction is longer than the {room} tokens that this base has room for "
            "beside a reply.",
            "Say it in fewer words, or choose a base with a longer context.",
        )
    return Built(ids(said, shown), tuple(shown), len(memories) - len(shown), len(messages) - len(said))
