"""The importer of EdgeWisePersona's own layout: characters, routines and sessions, one user a line.

Owns the three files' alignment: line i of each is the same user, who becomes persona_00i. characters.jsonl
and routines.jsonl are optional. Layout: Bartkowiak and Podstawski, EdgeWisePersona, arXiv 2505.11417.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.core.errors import Fault
from engine.core.types import Persona
from engine.data.assemble import Draft, Imported, assemble, refuse_too_many
from engine.data.layouts.layout import Sample, beside
from engine.data.lines import Line, absent_or_kind, kind_of
from engine.data.rows import read_rows
from engine.data.schema import read_character, read_meta, read_routines, read_session_id
from engine.data.turns import Turns
from engine.data.when import found_in

CHARACTERS, ROUTINES, SESSIONS = "characters.jsonl", "routines.jsonl", "sessions.jsonl"
MIN_ID_WIDTH = 3
_STEM = "sessions"


@dataclass(frozen=True, slots=True)
class _Column:
    """One value a user from an optional file; `values` is empty where the file is absent or unusable."""

    values: tuple[Any, ...]
    faults: tuple[Fault, ...]

    def at(self, index: int) -> Any:
        return self.values[index] if index < len(self.values) else None


def recognises(sample: Sample) -> bool:
    """Say whether a file is the sessions of users; one named so is, as long as nothing in it can be read."""
    if sample.stem == _STEM:
        return "sessions" in sample.keys or not sample.keys
    return "sessions" in sample.keys and "persona_id" not in sample.keys


def read_edgewise(folder: Path) -> Imported:
    """Return the users of `folder` as personas, with every fault of its files.

    Raises DataError for far too many of them.
    """
    place = beside(folder, SESSIONS) or folder / SESSIONS
    lines = list(read_rows(place))
    users = len(lines) if all(line.number for line in lines) else None
    characters = _read_column(folder, CHARACTERS, "character", read_character, users=users)
    routines = _read_column(folder, ROUTINES, "routines", read_routines, users=users)
    faults = [*characters.faults, *routines.faults]
    personas: list[Persona] = []
    drafts: list[Draft] = []
    turns = Turns()
    for index, line in enumerate(lines):
        persona_id = persona_name(index, len(lines))
        read, wrong = _read_user(line, persona_id, turns, place.name)
        faults.extend(wrong)
        refuse_too_many(faults, place.name)
        drafts.extend(read)
        personas.append(Persona(persona_id, characters.at(index), routines.at(index) or ()))
    return assemble("edgewise", personas, drafts, faults, counts=turns.counts)


def persona_name(index: int, users: int) -> str:
    """Return the id of the user in line `index` (from 0): persona_007, wider beyond 1,000 users."""
    return f"persona_{index:0{max(MIN_ID_WIDTH, len(str(users - 1)))}d}"


def _read_user(line: Line, persona_id: str, turns: Turns, file: str) -> tuple[list[Draft], list[Fault]]:
    """Return the dialogues of one row of sessions.jsonl. A bad session leaves the others readable."""
    if line.value is None:
        return [], [Fault(file, line.number, line.fault)]
    sessions = line.value.get("sessions")
    if not isinstance(sessions, list) or not sessions:
        what = "empty" if sessions == [] else f"must be a list, is {absent_or_kind(sessions)}"
        return [], [Fault(file, line.number, f"sessions: {what}")]
    drafts, faults = [], []
    for place, session in enumerate(sessions):
        where = f"sessions[{place}]"
        if not isinstance(session, dict):
            what = f"{where}: must be an object, is {kind_of(session)}"
            faults.append(Fault(file, line.number, what))
            continue
        problems: list[str] = []
        draft = _read_session(session, problems, turns)
        faults.extend(
            Fault(file, line.number, f"{where}.{problem}") for problem in (*problems, *turns.taken_odd())
        )
        if draft is not None:
            drafts.append(replace(draft, persona_id=persona_id, file=file, line=line.number, where=where))
    return drafts, faults


def _read_session(value: dict[str, Any], problems: list[str], turns: Turns) -> Draft | None:
    """Return one session, without its place."""
    session = read_session_id(value.get("session_id"), "session_id", problems)
    meta = read_meta(value.get("meta"), problems)
    messages = turns.read(value.get("messages"), problems)
    if problems or session is None:
        return None
    return Draft("", session, messages, meta, "", 0, when=found_in(value) or found_in(meta))


def _read_column(
    folder: Path, name: str, key: str, read: Callable[[Any, list[str]], Any], *, users: int | None
) -> _Column:
    """Return `key` of every line of an optional file; `users` is None when their number is unknown.

    A file with another number of lines cannot be matched to users at all, so none of it is used.
    """
    path = beside(folder, name)
    if path is None:
        return _Column((), ())
    values: list[Any] = []
    faults: list[Fault] = []
    for line in read_rows(path):
        if line.number == 0:
            return _Column((), (Fault(path.name, 0, line.fault),))
        problems = [line.fault] if line.fault else []
        if line.value is not None and key not in line.value:
            problems.append(f"{key}: missing")
        values.append(read(line.value.get(key), problems) if line.value is not None else None)
        faults.extend(Fault(path.name, line.number, problem) for problem in problems)
        refuse_too_many(faults, path.name)
    if users is not None and len(values) != users:
        what = f"{len(values)} lines, but {SESSIONS} has {users}: line i of each file must be the same user"
        return _Column((), (*faults, Fault(path.name, 0, what)))
    return _Column(tuple(values), tuple(faults))
