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

    `lines` maps dialogue_id -> index of its line from 0. Of the flattened layout only: a given split names
    lines, `line_count` counts them, and `given_split` is the edgesplits.json beside the file.
    """

    importer: str
    dataset: Dataset
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)
    line_count: int = 0
    given_split: Path | None = None


def assemble(
    importer: str, personas: Iterable[Persona], drafts: Iterable[Draft], wrong: Iterable[Fault]
) -> Imported:
    """Return the dataset of all personas that have an example, and all that was wrong with the rest.

    `wrong` is what the importer found already; the faults that show only across rows follow it. Dialogues are
    ordered within a persona by their id where all ids are numbers (the only clock the layouts have), else as
    they stand in the file.
    """
    known, faults = _without_duplicates(drafts)
    by_persona: dict[str, list[Draft]] = defaultdict(list)
    for draft in known:
        by_persona[draft.persona_id].append(draft)
    kept: list[Persona] = []
    dialogues: list[Dialogue] = []
    silent = reordered = 0
    for persona in sorted(personas, key=lambda persona: persona.persona_id):
        rows = by_persona[persona.persona_id]
        if not rows:
            continue
        silent += sum(not example_turns(row.messages) for row in rows)
        if not any(example_turns(row.messages) for row in rows):
            what = f"{persona.persona_id} has no assistant reply after a user message: it gives no example"
            faults.append(Fault(rows[0].file, rows[0].line, what))
            continue
        kept.append(persona)
        ordered = _in_time(rows)
        reordered += ordered != rows
        dialogues.extend(
            Dialogue(row.persona_id, _dialogue_id(row), order, row.messages, row.meta)
            for order, row in enumerate(ordered)
        )
    return Imported(
        importer,
        Dataset(tuple(kept), tuple(dialogues)),
        (*wrong, *faults),
        _notes(silent, reordered),
        lines={_dialogue_id(draft): draft.line - 1 for draft in known},
    )


def _notes(silent: int, reordered: int) -> tuple[str, ...]:
    """What is worth saying about valid data."""
    found = [f"{silent} dialogues have no reply after a user message: no example."] if silent else []
    if reordered:
        found.append(
            f"The dialogues of {reordered} personas do not stand in the order of their ids;"
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
