"""Which dialogue is for training, for choosing and for judging.

Owns the two schemes, the seeded subset of personas, and who is kept out of training. Refuses data that a
scheme cannot divide. Whether a split is fair: checks.py.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from engine.core.errors import EngineError
from engine.core.types import Dataset, Dialogue, Split, Splits
from engine.data.dataset import example_turns, hash_of

NAMES: Final[tuple[Split, ...]] = ("train", "val", "test")
UNSEEN: Final = "unseen"
HISTORY: Final = "history"
MIN_DIALOGUES = 5
MIN_PERSONAS = 3
ONLINE_DIALOGUES = 10


def make_splits(dataset: Dataset, *, scheme: Literal["auto", "by-time", "by-persona"], seed: int) -> Splits:
    """Return the split of `dataset`: "auto" is by-time where every persona has enough dialogues for it."""
    if scheme == "auto":
        scheme = "by-persona" if too_short_for_time(dataset) else "by-time"
    return split_by_time(dataset) if scheme == "by-time" else split_by_persona(dataset, seed=seed)


def split_by_time(dataset: Dataset) -> Splits:
    """Divide each persona's dialogues in order: 60 % train, 20 % val, the rest test.

    `online` is the last slice of train: 10 dialogues, or a third of it where that is less. Raises
    EngineError when a persona has fewer than MIN_DIALOGUES dialogues.
    """
    short = too_short_for_time(dataset)
    if short:
        named = ", ".join(f"{persona_id}: {count}" for persona_id, count in list(short.items())[:3])
        more = ", ..." if len(short) > 3 else ""
        raise EngineError(
            f"A split by time needs at least {MIN_DIALOGUES} dialogues of every persona;"
            f" {len(short)} of {len(dataset.personas)} have fewer ({named}{more}).",
            f"Leave those out (--min-dialogues {MIN_DIALOGUES}), or split by persona: --split by-persona",
        )
    assignment: dict[str, Split] = {}
    online: set[str] = set()
    for rows in by_persona(dataset).values():
        train, val = len(rows) * 6 // 10, len(rows) * 2 // 10
        for place, row in enumerate(rows):
            assignment[row.dialogue_id] = (
                "train" if place < train else "val" if place < train + val else "test"
            )
        slice_length = min(ONLINE_DIALOGUES, max(1, train // 3))
        online.update(row.dialogue_id for row in rows[train - slice_length : train])
    return Splits("by-time", assignment, frozenset(online))


def split_by_persona(dataset: Dataset, *, seed: int) -> Splits:
    """Divide the personas: 60 % train, 20 % val, the rest test, all dialogues of a persona together.

    Every split gets at least one persona; there is no `online` slice. Raises EngineError below 3.
    """
    ids = [persona.persona_id for persona in dataset.personas]
    if len(ids) < MIN_PERSONAS:
        raise EngineError(
            f"A split by persona needs at least {MIN_PERSONAS} personas; there {_are(len(ids))}.",
            "Use data of more personas, or, with 5 dialogues or more of each, --split by-time.",
        )
    ordered = _shuffled(ids, purpose="split", seed=seed)
    val = max(1, len(ids) * 2 // 10)
    train = min(len(ids) * 6 // 10, len(ids) - val - 1)
    of_persona: dict[str, Split] = {
        persona_id: "train" if place < train else "val" if place < train + val else "test"
        for place, persona_id in enumerate(ordered)
    }
    return Splits("by-persona", {row.dialogue_id: of_persona[row.persona_id] for row in dataset.dialogues})


def keep_unseen(dataset: Dataset, splits: Splits, *, share: float, seed: int) -> Splits:
    """Return a split by time with a seeded `share` of the personas kept out of all training.

    What would be their train part is their history, which may stand in a prompt; the rest is judged.
    At least one is, and at least one is not. Raises EngineError for a split by persona, whose test personas
    are unseen already, and for a single persona.
    """
    ids = sorted({row.persona_id for row in dataset.dialogues} - splits.unseen)
    if splits.scheme == "by-persona":
        raise EngineError(
            "With a split by persona every test persona is unseen already.", "Leave --unseen out."
        )
    if len(ids) < 2:
        raise EngineError("There are too few personas to keep one unseen.", "Leave --unseen out.")
    most = max(1, min(len(ids) - 1, round(share * len(ids))))
    kept = frozenset(_shuffled(ids, purpose="unseen", seed=seed)[:most])
    before: dict[str, Split] = {
        row.dialogue_id: HISTORY
        for row in dataset.dialogues
        if row.persona_id in kept and splits.assignment[row.dialogue_id] == "train"
    }
    held = as_unseen(dataset, splits, kept)
    return replace(held, assignment=held.assignment | before)


def as_unseen(dataset: Dataset, splits: Splits, personas: Iterable[str]) -> Splits:
    """Return a split in which all dialogues of `personas` are for judging alone."""
    unseen = splits.unseen | frozenset(personas)
    held = {row.dialogue_id for row in dataset.dialogues if row.persona_id in unseen}
    assignment = splits.assignment | dict.fromkeys(sorted(held), UNSEEN)
    return Splits(splits.scheme, assignment, splits.online - held, unseen)


def with_unanswered(dataset: Dataset, splits: Splits) -> Splits:
    """Return a split that holds the dialogues it leaves out, which nobody can score: where their persona's
    last dialogue stands, test by time.
    """
    assignment = dict(splits.assignment)
    for rows in by_persona(dataset).values():
        placed = [splits.assignment[row.dialogue_id] for row in rows if row.dialogue_id in splits.assignment]
        is_whole = splits.scheme == "by-persona" or (placed and placed[-1] == UNSEEN)
        place = placed[-1] if placed and is_whole else "test"
        assignment |= {row.dialogue_id: place for row in rows if row.dialogue_id not in splits.assignment}
    return replace(splits, assignment=assignment)


def as_if_known(splits: Splits, persona_id: str) -> Splits:
    """Return the split in which an unseen persona's history is her train part: to read her beside the others,
    never to train."""
    held: dict[str, Split] = {
        one: "train" if place == HISTORY and one.rpartition("/")[0] == persona_id else place
        for one, place in splits.assignment.items()
    }
    return replace(splits, assignment=held, unseen=splits.unseen - {persona_id})


def at_least(dataset: Dataset, dialogues: int) -> tuple[Dataset, dict[str, int]]:
    """Return the dataset of the personas with so many dialogues, and how many each of the others has."""
    counts = {persona_id: len(rows) for persona_id, rows in by_persona(dataset).items()}
    short = {persona_id: held for persona_id, held in counts.items() if held < dialogues}
    return (keep_personas(dataset, counts.keys() - short.keys()) if short else dataset), short


def choose_personas(dataset: Dataset, *, personas: int | None, seed: int) -> Dataset:
    """Return the dataset with a seeded choice of `personas` (None: all); a larger choice holds a smaller.

    Raises EngineError when there are fewer.
    """
    ids = [persona.persona_id for persona in dataset.personas]
    if personas is None:
        return dataset
    if personas > len(ids):
        raise EngineError(f"{personas} personas were asked for; there {_are(len(ids))}.", "Lower --personas.")
    return keep_personas(dataset, _shuffled(ids, purpose="subset", seed=seed)[:personas])


def keep_personas(dataset: Dataset, persona_ids: Iterable[str]) -> Dataset:
    """Return the dataset of these personas alone."""
    kept = frozenset(persona_ids)
    return Dataset(
        tuple(persona for persona in dataset.personas if persona.persona_id in kept),
        tuple(dialogue for dialogue in dataset.dialogues if dialogue.persona_id in kept),
    )


def too_short_for_time(dataset: Dataset) -> dict[str, int]:
    """Return persona_id -> number of dialogues, of the personas with fewer than MIN_DIALOGUES."""
    counts = {persona_id: len(rows) for persona_id, rows in by_persona(dataset).items()}
    return {persona_id: count for persona_id, count in counts.items() if count < MIN_DIALOGUES}


def by_persona(dataset: Dataset) -> dict[str, list[Dialogue]]:
    """Return persona_id -> dialogues in order of time."""
    found: dict[str, list[Dialogue]] = {persona.persona_id: [] for persona in dataset.personas}
    for dialogue in dataset.dialogues:
        found[dialogue.persona_id].append(dialogue)
    return found


def in_time(places: Sequence[str | None]) -> bool:
    """Tell whether splits, in order of time, run train, val, test without going back."""
    ranks = [NAMES.index(place) for place in places if place in NAMES]
    return ranks == sorted(ranks)


def split_statistics(dataset: Dataset, splits: Splits) -> dict[str, Any]:
    """Return per split: dialogues, their share, personas, examples; and the online dialogues.

    "history" and "unseen" are among them only where personas are kept out of training.
    """
    found: dict[str, Any] = {}
    for split in (*NAMES, HISTORY, UNSEEN) if splits.unseen else NAMES:
        rows = [row for row in dataset.dialogues if splits.assignment.get(row.dialogue_id) == split]
        personas = len({row.persona_id for row in rows})
        found[split] = {
            "dialogues": len(rows),
            "share": len(rows) / len(dataset.dialogues),
            "personas": personas,
            "dialogues_per_persona": len(rows) / personas if personas else None,
            "examples": sum(len(example_turns(row.messages)) for row in rows),
        }
    return found | {"online": {"dialogues": len(splits.online)}}


def hash_splits(record: Mapping[str, Any]) -> str:
    """Return what tells one division of the data, as splits.json holds it, from another: 16 hex digits."""
    placed = [record["scheme"], record["assignment"], sorted(record.get("online", ()))]
    text = json.dumps(placed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hash_of(text)[:16]


def export_edgesplits(dataset: Dataset, splits: Splits) -> dict[str, dict[str, list[int]]]:
    """Return the split in the study's form: persona -> split -> indices (from 0) of dialogue lines."""
    found: dict[str, dict[str, list[int]]] = {
        persona.persona_id: {name: [] for name in (*NAMES, "online")} for persona in dataset.personas
    }
    for index, row in enumerate(dataset.dialogues):
        if splits.assignment.get(row.dialogue_id) in NAMES:
            found[row.persona_id][splits.assignment[row.dialogue_id]].append(index)
        if row.dialogue_id in splits.online:
            found[row.persona_id]["online"].append(index)
    return found


def _shuffled(ids: Iterable[str], *, purpose: str, seed: int) -> list[str]:
    return sorted(ids, key=lambda one: hash_of(f"{purpose}:{seed}:{one}"))


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"
