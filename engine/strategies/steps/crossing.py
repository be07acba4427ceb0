"""What judges a choice that was made on val: each val dialogue is answered by what the other folds gave.

Owns that rule (`Kept`), and the files in a run's models folder that say so: folds.json, which dialogue is in
which fold, and personas-without-N.json, what acts for each persona by all val dialogues but those of fold N.
Test, and who is chatted with, gets what all of val gave (personas.json).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.core.paths import Workspace, read_json, write_json
from engine.core.types import Example
from engine.lm.effects import Effect, Own, Recipe, Stored
from engine.lm.recipes import read_personas, write_personas
from engine.stats.routing import FOLDS

_FOLDS = "folds.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept, and what judges it on val: `of` maps a dialogue to its fold, `by_fold` has what the other
    folds choose. Both are empty where there was nothing to choose."""

    best: Any
    of: Mapping[str, int] = field(default_factory=dict)
    by_fold: Sequence[Any] = ()

    @property
    def is_choice(self) -> bool:
        return bool(self.by_fold)

    def answering(self, split: str, dialogue_id: str) -> Any:
        """Return what answers a dialogue of a split: on val the choice that it took no part in."""
        fold = self.of.get(dialogue_id) if split == "val" else None
        return self.best if fold is None else self.by_fold[fold]


def write_crossed(
    ws: Workspace, run_id: str, by_fold: Sequence[Mapping[str, Sequence[Stored]]], fold_of: Mapping[str, int]
) -> None:
    """Write what acts for each persona on the val dialogues of each fold; nothing where there are none."""
    for fold, own in enumerate(by_fold):
        write_personas(ws, run_id, own, name=_personas(fold))
    if by_fold:
        write_json(ws.adapters(run_id) / _FOLDS, dict(fold_of))


class Crossed:
    """What answers an example in place of a variant's recipe: on val, what was found without it."""

    def __init__(self, ws: Workspace, run_id: str) -> None:
        path = ws.adapters(run_id) / _FOLDS
        self._run = run_id
        fold_of: Mapping[str, int] = read_json(path) if path.exists() else {}
        held = range(FOLDS) if fold_of else ()
        self._kept = Kept(None, fold_of, [read_personas(ws, run_id, name=_personas(fold)) for fold in held])

    def __call__(self, recipe: Recipe, split: str, example: Example) -> Recipe:
        """Return the recipe for an example; the variant's own on test and where nothing was chosen."""
        own = self._kept.answering(split, example.dialogue_id)
        if own is None:
            return recipe
        effects: list[Effect] = []
        for effect in recipe.effects:
            is_own = effect == Own(self._run)
            effects += own[example.persona_id] if is_own else [effect]
        return replace(recipe, effects=tuple(effects))


def _personas(fold: int) -> str:
    return f"personas-without-{fold}.json"
