"""What a reader of any layout gathers: people with their texts, dialogues, faults, and what ids are made of.

Owns how an id is written that cannot be part of a file's name: another way, and still one person's. Knows no
layout.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.core.errors import Fault
from engine.core.types import Persona
from engine.data.assemble import Draft, Imported, assemble, refuse_too_many
from engine.data.lines import absent_or_kind
from engine.data.rows import read_rows
from engine.data.schema import BAD_ID, MAX_ID_LENGTH, is_number, read_character
from engine.data.turns import Turns

_ROUNDED = re.compile(r"\d(\.\d+)?[eE]\+\d+")
_MOST_EXACT = 2**53
_NOBODY = frozenset({"nan", "null", "none", "nat", "<na>"})


@dataclass(slots=True)
class Gathered:
    """What a reader has gathered so far: personas with their texts, dialogues, faults, and what turns
    became.
    """

    turns: Turns = field(default_factory=Turns)
    characters: dict[str, str | None] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def wrong(self, file: str, line: int, *problems: str) -> None:
        """Note problems of a row. Raises DataError where there are far too many."""
        self.faults.extend(Fault(file, line, problem) for problem in problems)
        refuse_too_many(self.faults, file)

    def person(self, persona_id: str, character: Any = None) -> None:
        """Note a person, and the first text that says something of her."""
        text = read_character(character, [])
        self.characters[persona_id] = self.characters.get(persona_id) or text

    def imported(self, layout: str, *, ids_tell: bool, dates: str = "") -> Imported:
        """Return all of it as a dataset."""
        personas = [Persona(name, character) for name, character in self.characters.items()]
        return assemble(
            layout,
            personas,
            self.drafts,
            self.faults,
            counts=self.turns.counts,
            ids_tell=ids_tell,
            dates=dates,
        )


def identifier(value: Any, column: str, problems: list[str]) -> str | None:
    """Return what names a person or a dialogue: text or a whole number, written so that a file may bear it.

    What no file's name may hold becomes "-", followed by six digits of the text's hash, so that two stay two.
    "7.0" is 7: a column of whole numbers in which one is missing is written so.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT:
        value = int(value)
    if (isinstance(value, float) and abs(value) >= _MOST_EXACT) or (
        isinstance(value, str) and _ROUNDED.fullmatch(value.strip())
    ):
        problems.append(f"{column}: {value} was rounded, and may stand for several: export it as text")
        return None
    if value is None or isinstance(value, bool) or not isinstance(value, str | int):
        problems.append(f"{column}: must be text or a whole number, is {absent_or_kind(value)}")
        return None
    text = str(value).strip()
    if not text:
        problems.append(f"{column}: empty")
        return None
    if text.lower() in _NOBODY:
        problems.append(f"{column}: {text!r} is what programs write where nothing stands: it names none")
        return None
    text = text.removesuffix(".0") if is_number(text.removesuffix(".0")) else text
    if not BAD_ID.search(text) and len(text.encode("utf-8")) <= MAX_ID_LENGTH:
        return text
    digits = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    plain = BAD_ID.sub("-", text).encode("utf-8", "ignore")[: MAX_ID_LENGTH - 10].decode("utf-8", "ignore")
    return f"{plain.strip(' .')}-{digits}"


def rows_of(path: Path, encoding: str, gathered: Gathered) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a file that can be read, with their numbers; the others are faults."""
    for line in read_rows(path, encoding):
        if line.value is None:
            gathered.wrong(path.name, line.number, line.fault)
        else:
            yield line.number, line.value
