"""A look at data before it is taken in: its columns and what they seem to be, and what would come of an
import.

Owns that what it says is what an import does, for it takes the same steps. Writes nothing into the workspace;
what keeps the data from being taken in is part of the answer, not an error.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from engine.core.errors import DataError, EngineError, Fault
from engine.core.machine import changes
from engine.core.paths import Workspace
from engine.data.archive import Upload, named, unpack_upload
from engine.data.checks import check_splits
from engine.data.choices import Choices, Options
from engine.data.layouts.layout import Sample
from engine.data.layouts.registry import recognised
from engine.data.mapping import (
    COLUMNS,
    PLACES,
    Mapping,
    columns_of,
    complete,
    parts_of,
    speakers_of,
    turns_in,
    value_at,
)
from engine.data.ready import Ready, make_ready
from engine.data.sources import Source, find_source, samples_of
from engine.data.splits import split_statistics
from engine.data.turns import TEXT_KEYS
from engine.data.when import dated, written

_PARTICULAR = re.compile(r"'[^']*'|\d+")
_ROWS, _LETTERS, _REASONS, _SPEAKERS = 5, 80, 20, 30


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the data: the first value in it, and which part of a mapping it is ("" for none)."""

    name: str
    example: str
    part: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is left out: how often, and where first."""

    what: str
    times: int
    first: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would make of the data. `refused` and `remedy` say what stops it, "" for nothing.

    `mapping` is as guessed where nothing was said, `speakers` are the names under which turns are said;
    `outcome` is empty where the data cannot be taken in.
    """

    source: str
    layout: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, str], ...]
    mapping: dict[str, str]
    speakers: tuple[str, ...]
    outcome: dict[str, Any]
    notes: tuple[str, ...]
    left_out: tuple[Reason, ...]
    refused: str = ""
    remedy: str = ""


@changes("look at data", least="own")
def preview(ws: Workspace, *, dataset: str | Path, **options: Unpack[Options]) -> Preview:
    """Return what `prepare` with the same options would do. Raises EngineError where there is nothing to look
    at.
    """
    choices = Choices(**options)
    with tempfile.TemporaryDirectory(prefix="persona-lab-") as scratch:
        source = find_source(
            dataset,
            Path(scratch) / "source",
            personas=choices.personas,
            dialogues=choices.dialogues,
            seed=choices.seed,
        )
        return _look(ws, source, choices)


@changes("look at data", least="own")
def preview_upload(ws: Workspace, files: Upload, **options: Unpack[Options]) -> Preview:
    """Return what `prepare_upload` with the same options would do."""
    choices = Choices(**options)
    with tempfile.TemporaryDirectory(prefix="persona-lab-") as scratch:
        folder = Path(scratch) / "source"
        unpack_upload(files, folder)
        return _look(ws, Source(named(files), folder), choices)


def _look(ws: Workspace, source: Source, choices: Choices) -> Preview:
    said = choices.mapping
    samples = samples_of(source, said)
    layout, found = recognised(samples, said)
    shown = found or [one for one in samples if one.rows]
    refused, remedy = "", ""
    ready: Ready | None = None
    faults: Sequence[Fault] = ()
    try:
        ready = make_ready(ws, source, choices)
        faults = ready.faults
    except EngineError as error:
        refused, remedy = error.message, error.hint
        faults = error.faults if isinstance(error, DataError) else ()
    mapping = _mapping(said, shown, ready)
    return Preview(
        source.label,
        layout.title if layout else "",
        _columns(shown, mapping),
        tuple(
            {key: _short(value) for key, value in row.items()}
            for one in shown[:1]
            for row in one.rows[:_ROWS]
        ),
        mapping.as_json(),
        speakers_of([row for one in shown for row in one.rows], mapping)[:_SPEAKERS],
        _outcome(ready) if ready else {},
        ready.notes if ready else (),
        _reasons(faults),
        refused,
        remedy,
    )


def _mapping(said: Mapping, shown: Sequence[Sample], ready: Ready | None) -> Mapping:
    """How the columns were understood, or are guessed to be."""
    if ready is not None and ready.imported.mapping:
        return Mapping(**ready.imported.mapping)
    if ready is not None or not shown:
        return said
    try:
        return complete(said, shown)
    except EngineError:
        return said


def _columns(shown: Sequence[Sample], mapping: Mapping) -> tuple[Column, ...]:
    rows = [row for one in shown for row in one.rows]
    part = {column: name for name in COLUMNS for column in parts_of(mapping, name)}
    columns = [Column(name, _example(name, rows), part.get(name, "")) for name in columns_of(rows)]
    if len(shown) > 1:
        where = zip(PLACES, (shown[0].stem, shown[0].path.parent.name), strict=True)
        columns += [Column(name, value, part.get(name, "")) for name, value in where]
    return tuple(columns)


def _example(column: str, rows: Sequence[dict[str, Any]]) -> str:
    return next((_short(value) for row in rows if (value := value_at(row, column)) is not None), "")


def _short(value: Any) -> str:
    """A cell in words: a list of turns as what is said first in it."""
    turns = turns_in(value)
    if turns is not None:
        return f"{len(turns)}: {_short(turns[0])}" if turns else "an empty list"
    if isinstance(value, dict):
        return _short(next((value[key] for key in TEXT_KEYS if isinstance(value.get(key), str)), str(value)))
    text = " ".join(str(value).split()) if value is not None else ""
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."


def _reasons(faults: Sequence[Fault]) -> tuple[Reason, ...]:
    """Faults by what they say, the commonest first; numbers and names in them do not part two of a kind."""
    times = Counter[str]()
    first: dict[str, Fault] = {}
    for fault in faults:
        kind = _PARTICULAR.sub("#", fault.what)
        times[kind] += 1
        first.setdefault(kind, fault)
    return tuple(
        Reason(first[kind].what, number, f"{first[kind].file}:{first[kind].line}")
        for kind, number in times.most_common(_REASONS)
    )


def _outcome(ready: Ready) -> dict[str, Any]:
    times = [time for row in ready.dataset.dialogues if (time := dated(row.meta)) is not None]
    found = split_statistics(ready.dataset, ready.splits)
    checks = check_splits(ready.dataset, ready.splits, ready.order)
    return {
        "personas": len(ready.dataset.personas),
        "dialogues": len(ready.dataset.dialogues),
        "examples": sum(held.get("examples", 0) for held in found.values()),
        "first": written(min(times)) if times else None,
        "last": written(max(times)) if times else None,
        "split": ready.splits.scheme,
        "examples_by_split": {name: held["examples"] for name, held in found.items() if "examples" in held},
        "order": ready.order.as_json(),
        "domain": ready.domain.name,
        "short": len(ready.short),
        "failed_checks": [f"{check['name']}: {check['detail']}" for check in checks if not check["ok"]],
    }
