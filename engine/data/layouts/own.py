"""The importer of Persona Lab's own layout: personas.jsonl and dialogues.jsonl, as a workspace keeps them.

So that data edited in a workspace can be taken in as another dataset. Owns how the two files fit together; a
world's truth is not taken along, for it was that of other words.
"""

from pathlib import Path
from typing import Any

from engine.core.errors import Fault
from engine.core.types import Persona
from engine.data.assemble import Draft, Imported, assemble
from engine.data.dataset import DIALOGUES, PERSONAS
from engine.data.lines import Line, read_lines
from engine.data.schema import read_character, read_meta, read_persona_id, read_routines, read_session_id
from engine.data.turns import Turns
from engine.data.when import DATED


def is_own(folder: Path) -> bool:
    """Say whether a folder is the data of a workspace."""
    return (folder / PERSONAS).is_file() and (folder / DIALOGUES).is_file()


def read_own(folder: Path) -> Imported:
    """Return the personas of both files, with every fault of their lines. Raises nothing."""
    faults: list[Fault] = []
    personas = [one for line in read_lines(folder / PERSONAS) if (one := _persona(line, faults))]
    turns = Turns()
    drafts = [draft for line in read_lines(folder / DIALOGUES) if (draft := _draft(line, faults, turns))]
    known = {one.persona_id for one in personas}
    for name in dict.fromkeys(one.persona_id for one in drafts):
        if name not in known:
            personas.append(Persona(name))
    return assemble("own", personas, drafts, faults, counts=turns.counts)


def _persona(line: Line, faults: list[Fault]) -> Persona | None:
    row, problems = _row(line)
    name = read_persona_id(row.get("persona_id"), problems) if row else None
    character = read_character(row.get("character"), problems)
    routines = read_routines(row.get("routines"), problems)
    faults += [Fault(PERSONAS, line.number, problem) for problem in problems]
    return None if problems or name is None else Persona(name, character, routines)


def _draft(line: Line, faults: list[Fault], turns: Turns) -> Draft | None:
    row, problems = _row(line)
    name = read_persona_id(row.get("persona_id"), problems) if row else None
    session = _session(row, name or "", problems) if row else None
    messages = turns.read(row.get("messages"), problems) if row else ()
    meta = read_meta(row.get("meta"), problems)
    faults += [Fault(DIALOGUES, line.number, problem) for problem in (*problems, *turns.taken_odd())]
    if problems or name is None or session is None:
        return None
    return Draft(name, session, messages, meta, DIALOGUES, line.number, when=meta.get(DATED))


def _row(line: Line) -> tuple[dict[str, Any], list[str]]:
    return (line.value or {}), ([line.fault] if line.value is None else [])


def _session(row: dict[str, Any], name: str, problems: list[str]) -> str | None:
    """The id within the persona: "persona_003/0007" is her 0007."""
    value = row.get("dialogue_id")
    within = value.removeprefix(f"{name}/") if isinstance(value, str) else value
    return read_session_id(within, "dialogue_id", problems)
