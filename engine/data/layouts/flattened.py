"""The importer of the study's flattened layout: one dialogue a line, each naming its persona.

Owns how lines become personas: character and routines stand on every line of a persona (or on some, or
on none) and must agree. An edgesplits.json beside the file is noted here and read in given_split.py.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.core.errors import Fault
from engine.core.types import Persona
from engine.data.assemble import Draft, Imported, assemble, refuse_too_many
from engine.data.layouts.layout import Sample
from engine.data.lines import Line
from engine.data.rows import read_rows
from engine.data.schema import read_character, read_meta, read_persona_id, read_routines, read_session_id
from engine.data.turns import Turns
from engine.data.when import found_in

GIVEN_SPLIT = "edgesplits.json"
ID_KEYS = ("session_id", "dialogue_idx")


def recognises(sample: Sample) -> bool:
    """Say whether a file holds a dialogue a row under the names of this layout."""
    return {"persona_id", "messages"} <= sample.keys and not sample.is_table


def resembles(sample: Sample) -> bool:
    """Say whether a file that no layout knows is best read, and found faulty, as one of this."""
    of_lines = not sample.keys and sample.path.suffix.lower() == ".jsonl"
    return of_lines or ("persona_id" in sample.keys and not sample.is_table)


def read_flattened(path: Path) -> Imported:
    """Return the personas of a flattened file, with every fault. Raises DataError for far too many."""
    profiles: dict[str, _Profile] = {}
    drafts: list[Draft] = []
    faults: list[Fault] = []
    line_count, turns = 0, Turns()
    for line in read_rows(path):
        line_count = max(line_count, line.number)
        problems: list[str] = []
        draft = _read_dialogue(line, problems, file=path.name, profiles=profiles, turns=turns)
        faults.extend(Fault(path.name, line.number, problem) for problem in (*problems, *turns.taken_odd()))
        refuse_too_many(faults, path.name)
        if draft is not None:
            drafts.append(draft)
    personas = [profile.persona(persona_id) for persona_id, profile in profiles.items()]
    imported, beside = (
        assemble("flattened", personas, drafts, faults, counts=turns.counts),
        path.parent / GIVEN_SPLIT,
    )
    return replace(imported, line_count=line_count, given_split=beside if beside.exists() else None)


class _Profile:
    """What the lines read so far say about one persona, and which line said it first."""

    def __init__(self) -> None:
        self.first: dict[str, tuple[Any, int]] = {}

    def agree(self, key: str, value: Any, line: int) -> str:
        """Take in `value`; return a problem when an earlier line said something else."""
        if not value:
            return ""
        known, first_line = self.first.setdefault(key, (value, line))
        return "" if known == value else f"{key}: differs from the persona's {key} in line {first_line}"

    def persona(self, persona_id: str) -> Persona:
        character, _ = self.first.get("character", (None, 0))
        routines, _ = self.first.get("routines", ((), 0))
        return Persona(persona_id, character, routines)


def _read_dialogue(
    line: Line, problems: list[str], *, file: str, profiles: dict[str, _Profile], turns: Turns
) -> Draft | None:
    if line.value is None:
        problems.append(line.fault)
        return None
    row = line.value
    persona_id = read_persona_id(row.get("persona_id"), problems)
    session = _read_id(row, problems)
    meta = read_meta(row.get("meta"), problems)
    messages = turns.read(row.get("messages"), problems)
    character = read_character(row.get("character"), problems)
    routines = read_routines(row.get("routines"), problems)
    if problems or persona_id is None or session is None:
        return None
    profile = profiles.setdefault(persona_id, _Profile())
    for key, value in (("character", character), ("routines", routines)):
        if problem := profile.agree(key, value, line.number):
            problems.append(problem)
    if problems:
        return None
    when = found_in(row) or found_in(meta)
    return Draft(persona_id, session, messages, meta, file, line.number, when=when)


def _read_id(row: dict[str, Any], problems: list[str]) -> str | None:
    for key in ID_KEYS:
        if row.get(key) is not None:
            return read_session_id(row[key], key, problems)
    problems.append("session_id: missing (dialogue_idx would do as well)")
    return None
