"""From a recipe to replies: which model answers, what its prompt says, which memories it sees.

A recipe is {"adapters": [{"run", "name"}], "profile": bool, "memories": k}. This is the one place that
turns one into prompts, for scoring and for the playground alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from engine.errors import EngineError
from engine.lm.encode import encode_prompt
from engine.lm.load import Base
from engine.lm.prompts import Memory, chat, system_text
from engine.lm.retrieve import fit
from engine.paths import Workspace
from engine.types import Message

KERNEL = "written-into-weights"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to answer for one persona. `adapters` are (run id, adapter name) pairs, applied together."""

    adapters: tuple[tuple[str, str], ...] = ()
    profile: bool = False
    memories: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "adapters": [{"run": run, "name": name} for run, name in self.adapters],
            "profile": self.profile,
            "memories": self.memories,
        }


def read_recipe(value: Mapping[str, Any]) -> Recipe:
    """Return the recipe written as JSON. Raises EngineError when it asks for something unknown."""
    unknown = set(value) - {"adapters", "profile", "memories"}
    if unknown:
        raise EngineError(
            f"This recipe cannot answer: {', '.join(sorted(unknown))} is not known here.",
            "Choose another variant.",
        )
    adapters = tuple((entry["run"], entry["name"]) for entry in value.get("adapters", ()))
    return Recipe(adapters, bool(value.get("profile", False)), int(value.get("memories", 0)))


def model_for(base: Base, ws: Workspace, adapters: Sequence[tuple[str, str]]) -> PreTrainedModel:
    """Return the base with the adapters written into its weights (the base itself when there are none).

    Changes `base.model`'s weights: load the base anew for another set of adapters.
    """
    model: Any = base.model
    for run, name in adapters:
        folder = ws.adapters(run) / name
        if not (folder / "adapter_config.json").exists():
            raise EngineError(
                f"The adapter {name} of {run} is not in {ws.adapters(run)}.",
                f"Resume or repeat the run: python -m engine resume {run}",
            )
        model = PeftModel.from_pretrained(model, folder, adapter_name=name).merge_and_unload()
    return model.eval()


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
