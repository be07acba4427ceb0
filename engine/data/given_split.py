"""A split that came with the data: the study's edgesplits.json.

Owns its form, {persona_id: {"train": [line indices from 0], "val": [...], "test": [...], "online": [...]}},
and every way in which it can contradict the dialogues. Refuses nothing itself: it returns the faults.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.core.errors import Fault
from engine.core.types import Dataset, Split, Splits
from engine.data.assemble import Imported
from engine.data.lines import kind_of, read_document
from engine.data.splits import NAMES, by_persona, in_time, keep_personas


def read_given_split(path: Path, imported: Imported) -> tuple[Dataset, Splits | None, tuple[Fault, ...]]:
    """Return the personas whose entry is sound, their split, and the faults of all other entries.

    A file that cannot be read at all gives all personas, no split and its fault.
    """
    found, fault = read_document(path)
    if fault is None and not isinstance(found, dict):
        fault = Fault(path.name, 0, f"must be a JSON object, is {kind_of(found)}")
    if fault is not None:
        return imported.dataset, None, (fault,)
    at_line = {line: dialogue_id for dialogue_id, line in imported.lines.items()}
    faults: list[Fault] = []
    sound: set[str] = set()
    assignment: dict[str, Split] = {}
    online: set[str] = set()
    for persona_id, rows in by_persona(imported.dataset).items():
        own = [row.dialogue_id for row in rows]
        entry = _Entry(own, at_line, imported.line_count)
        entry.read(found.get(persona_id))
        faults.extend(Fault(path.name, 0, f"{persona_id}{problem}") for problem in entry.problems)
        if not entry.problems:
            sound.add(persona_id)
            assignment.update(entry.assignment)
            online.update(entry.online)
    faults.extend(_unknown_personas(path, found, imported))
    dataset = keep_personas(imported.dataset, sound)
    return dataset, Splits("by-time", assignment, frozenset(online)), tuple(faults)


def _unknown_personas(path: Path, found: dict[str, Any], imported: Imported) -> Iterable[Fault]:
    """A persona whose rows were all faulty is named by those faults already."""
    known = {dialogue_id.rsplit("/", 1)[0] for dialogue_id in imported.lines}
    if imported.faults:
        return ()
    return [
        Fault(path.name, 0, f"{name}: no dialogue of this persona") for name in found if name not in known
    ]


class _Entry:
    """One persona's part of the file, held against the persona's dialogues (`own`, in order of time)."""

    def __init__(self, own: list[str], at_line: dict[int, str], line_count: int) -> None:
        self.own = own
        self.at_line = at_line
        self.line_count = line_count
        self.assignment: dict[str, Split] = {}
        self.online: set[str] = set()
        self.problems: list[str] = []

    def read(self, value: Any) -> None:
        if not isinstance(value, dict):
            self.problems.append(
                ": missing" if value is None else f": must be an object, is {kind_of(value)}"
            )
            return
        for name in NAMES:
            for place, dialogue_id in self._dialogues(value.get(name), name):
                other = self.assignment.setdefault(dialogue_id, name)
                if other != name:
                    self.problems.append(f".{name}[{place}]: the line is in {other} as well")
        for place, dialogue_id in self._dialogues(value.get("online", []), "online"):
            self.online.add(dialogue_id)
            if self.assignment.get(dialogue_id) != "train":
                self.problems.append(f".online[{place}]: the line is not in train")
        if not self.problems:
            self._check_whole()

    def _dialogues(self, value: Any, name: str) -> list[tuple[int, str]]:
        """Return (place, dialogue_id) of the indices that name a line of this persona."""
        if not isinstance(value, list):
            what = "missing" if value is None else f"must be a list, is {kind_of(value)}"
            self.problems.append(f".{name}: {what}")
            return []
        found: dict[str, int] = {}
        for place, index in enumerate(value):
            problem = self._wrong_index(index)
            if not problem and index in self.at_line and self.at_line[index] in found:
                problem = "the line is named twice"
            if problem:
                self.problems.append(f".{name}[{place}]: {problem}")
            elif index in self.at_line:  # else a line whose own fault is in the list already
                found[self.at_line[index]] = place
        return [(place, dialogue_id) for dialogue_id, place in found.items()]

    def _wrong_index(self, index: Any) -> str:
        if not isinstance(index, int) or isinstance(index, bool):
            return f"must be a line index, is {kind_of(index)}"
        if not 0 <= index < self.line_count:
            return f"there is no line {index} (lines are counted from 0, the last is {self.line_count - 1})"
        if index in self.at_line and self.at_line[index] not in self.own:
            return f"line {index} is of another persona"
        return ""

    def _check_whole(self) -> None:
        for name in NAMES:
            if name not in self.assignment.values():
                self.problems.append(f".{name}: empty")
        left = [dialogue_id for dialogue_id in self.own if dialogue_id not in self.assignment]
        if left:
            self.problems.append(f": {len(left)} dialogues are in no split, the first is {left[0]}")
        if not in_time([self.assignment.get(dialogue_id) for dialogue_id in self.own]):
            self.problems.append(": the splits are not in order of time (train, then val, then test)")
