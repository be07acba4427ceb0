"""A split that stands in the rows themselves: a column, or a file for each of train, validation and test.

Owns what is made of one that lacks a part. Honours what is there: nothing that the data calls test is trained
on.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from engine.core.types import Dataset, Split, Splits
from engine.core.wording import count
from engine.data.dataset import hash_of
from engine.data.splits import ONLINE_DIALOGUES, as_unseen, by_persona

_VAL_SHARE = 5  # one in so many of train, where no validation is given


@dataclass(frozen=True, slots=True)
class Placed:
    """A given split as it is used, and what is worth saying of it."""

    splits: Splits
    notes: tuple[str, ...]


def split_as_placed(dataset: Dataset, places: Mapping[str, str], *, seed: int) -> Placed | None:
    """Return the split that rows name; None where it cannot be one (no train, or neither val nor test).

    A dialogue without a place is train. By persona, where no persona is in two splits; else by time, where
    personas of whom there is no train are unseen.
    """
    told = {row.dialogue_id: places.get(row.dialogue_id, "train") for row in dataset.dialogues}
    notes = []
    if unplaced := sum(one not in places for one in told):
        notes.append(f"{count(unplaced, 'dialogue')} without a split in the data: train.")
    if "test" not in told.values():
        told = {one: "test" if place == "val" else place for one, place in told.items()}
        notes.append("The data names no test split: its validation split is the test split.")
    if not {"train", "test"} <= set(told.values()):
        return None
    of_persona: dict[str, set[str]] = defaultdict(set)
    for row in dataset.dialogues:
        of_persona[row.persona_id].add(told[row.dialogue_id])
    by_person = all(len(found) == 1 for found in of_persona.values())
    if "val" not in told.values():
        told = _with_val(dataset, told, by_person=by_person, seed=seed)
        what = "personas" if by_person else "of each persona's train dialogues, the latest,"
        notes.append(f"The data names no validation split: one in {_VAL_SHARE} {what} became it.")
    assignment = cast(dict[str, Split], told)
    if by_person:
        return Placed(Splits("by-persona", assignment), ("The split is the one given in the data.", *notes))
    splits = Splits("by-time", assignment, _online(dataset, told))
    cold = sorted(persona for persona, found in of_persona.items() if "train" not in found)
    if cold:
        splits = as_unseen(dataset, splits, cold)
        notes.append(f"{count(len(cold), 'persona')} without a train dialogue: kept unseen.")
    return Placed(splits, ("The split is the one given in the data.", *notes))


def _with_val(dataset: Dataset, told: dict[str, str], *, by_person: bool, seed: int) -> dict[str, str]:
    found = dict(told)
    if by_person:
        trained = sorted({row.persona_id for row in dataset.dialogues if told[row.dialogue_id] == "train"})
        ordered = sorted(trained, key=lambda one: hash_of(f"val:{seed}:{one}"))
        chosen = set(ordered[: max(1, len(ordered) // _VAL_SHARE)]) if len(ordered) > 1 else set()
        return found | {row.dialogue_id: "val" for row in dataset.dialogues if row.persona_id in chosen}
    for rows in by_persona(dataset).values():
        train = [row.dialogue_id for row in rows if told[row.dialogue_id] == "train"]
        last = max(1, len(train) // _VAL_SHARE) if len(train) > 1 else 0
        found |= dict.fromkeys(train[len(train) - last :], "val")
    return found


def _online(dataset: Dataset, told: Mapping[str, str]) -> frozenset[str]:
    """The last slice of each persona's train part, as in a split that is made here."""
    found: set[str] = set()
    for rows in by_persona(dataset).values():
        train = [row.dialogue_id for row in rows if told[row.dialogue_id] == "train"]
        if train:
            found.update(train[-min(ONLINE_DIALOGUES, max(1, len(train) // 3)) :])
    return frozenset(found)
