"""From what an importer read to a Dataset: order in time, duplicates, personas that give no example.

Owns what both layouts have in common. Refuses nothing itself: faults are collected in the Imported
record, and `accept` decides whether they stop the import.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.core.errors import DataError, Fault
from engine.core.limits import limits
from engine.core.types import Dataset, Dialogue, Message, Persona
from engine.data.dataset import example_turns
from engine.data.schema import is_number


@dataclass(frozen=True, slots=True)
class Draft:
    """A dialogue as read: `session` is its id within the persona, `line` where it stands (1-based)."""

    persona_id: str
    session: str
    messages: tuple[Message, ...]
    meta: dict[str, Any]
    file: str
    line: int
    where: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an importer made of its files: the good rows, and every fault of the others.

    `lines` maps dialogue_id -> index of its line from 0 (flattened layout only: a given split names
    lines); `line_count` counts the lines of that file; `given_split` is the edgesplits.json beside it.
    """

    importer: str
    dataset: Dataset
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)
    line_count: int = 0
    given_split: Path | None = None


@dataclass(frozen=True, slots=True)
class Assembled:
    """A dataset with the faults that show only across rows, and where each dialogue came from."""

    dataset: Dataset
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    drafts: dict[str, Draft]


def assemble(personas: Iterable[Persona], drafts: Iterable[Draft]) -> Assembled:
    """Return the dataset of all personas that have at least one example, and what was wrong with the rest.

    Dialogues are ordered within a persona by their id where all ids are numbers (the only clock the
    layouts have), else as they stand in the file.
    """
    known, faults = _without_duplicates(drafts)
    by_persona: dict[str, list[Draft]] = defaultdict(list)
    for draft in known:
        by_persona[draft.persona_id].append(draft)
    kept: list[Persona] = []
    dialogues: list[Dialogue] = []
    notes = _Notes()
    for persona in sorted(personas, key=lambda persona: persona.persona_id):
        rows = by_persona[persona.persona_id]
        if not rows:
            continue
        notes.silent_dialogues += sum(not example_turns(row.messages) for row in rows)
        if not any(example_turns(row.messages) for row in rows):
            what = f"{persona.persona_id} has no assistant reply after a user message: it gives no example"
            faults.append(Fault(rows[0].file, rows[0].line, what))
            continue
        kept.append(persona)
        ordered = _in_time(rows)
        notes.reordered_personas += ordered != rows
        dialogues.extend(_dialogue(row, order) for order, row in enumerate(ordered))
    return Assembled(
        Dataset(tuple(kept), tuple(dialogues)),
        tuple(faults),
        notes.sentences(),
        {_dialogue_id(draft): draft for draft in known},
    )


@dataclass(slots=True)
class _Notes:
    """What is worth saying about valid data."""

    silent_dialogues: int = 0
    reordered_personas: int = 0

    def sentences(self) -> tuple[str, ...]:
        found = []
        if self.silent_dialogues:
            found.append(f"{self.silent_dialogues} dialogues have no reply after a user message: no example.")
        if self.reordered_personas:
            found.append(
                f"The dialogues of {self.reordered_personas} personas do not stand in the order of their ids;"
                " the ids decide the order in time."
            )
        return tuple(found)


def _without_duplicates(drafts: Iterable[Draft]) -> tuple[list[Draft], list[Fault]]:
    """Keep the first of each id, in the order read."""
    seen: dict[str, Draft] = {}
    faults = []
    for draft in drafts:
        first = seen.setdefault(_dialogue_id(draft), draft)
        if first is not draft:
            where = f"{draft.where}: " if draft.where else ""
            what = (
                f"{where}the id {draft.session} of {draft.persona_id} was used before, in line {first.line}"
            )
            faults.append(Fault(draft.file, draft.line, what))
    return list(seen.values()), faults


def _in_time(rows: list[Draft]) -> list[Draft]:
    if all(is_number(row.session) for row in rows):
        return sorted(rows, key=lambda row: int(row.session))
    return rows


def _dialogue_id(draft: Draft) -> str:
    return f"{draft.persona_id}/{draft.session}"


def _dialogue(draft: Draft, order: int) -> Dialogue:
    return Dialogue(draft.persona_id, _dialogue_id(draft), order, draft.messages, draft.meta)


def refuse_too_many(faults: Sequence[Fault], file: str) -> None:
    """Raise DataError when so much is wrong that reading on would only pile up faults."""
    most = limits().faults
    if len(faults) >= most:
        raise DataError(
            f"{file}: {most:,} faults were found, and it was not read on; nothing was imported.",
            faults[:most],
            "Mend the file: it is probably of another layout, or damaged.",
        )


def accept(dataset: Dataset, faults: Sequence[Fault], *, source: str, keep_good: bool) -> None:
    """Raise DataError with every fault, unless `keep_good` is set and something good is left."""
    if dataset.dialogues and (keep_good or not faults):
        return
    ordered = sorted(faults, key=lambda fault: (fault.file, fault.line))
    count = "1 fault" if len(ordered) == 1 else f"{len(ordered)} faults"
    if dataset.dialogues:
        hint = "Mend the file, or keep only the good rows with --keep-good."
    else:
        hint = "No good row is left to keep: mend the file and try again."
    raise DataError(f"{source}: {count}, nothing was imported.", ordered, hint)
