"""What people say of runs: a title, a note, tags, a star, a pin, and that one is hidden.

Owns data/labels.jsonl, which only ever grows: a line says how a run is labelled from then on. No run's folder
and no database holds a label, so none is lost with either, and a run that is brought back has its own again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core.errors import EngineError
from engine.core.machine import changes
from engine.core.paths import Workspace
from engine.runs.ledger import Ledger
from engine.runs.records import find
from engine.runs.runfolder import now

LONGEST_TITLE, LONGEST_NOTE, LONGEST_TAG = 120, 4000, 40


@dataclass(frozen=True, slots=True)
class Label:
    """How one run is labelled. Pinned runs stand first in lists, hidden ones only where asked for."""

    title: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    star: bool = False
    pinned: bool = False
    hidden: bool = False

    def words(self) -> str:
        """Return all that a search may find in it."""
        return " ".join((self.title, self.note, *self.tags))


NONE = Label()


@dataclass(frozen=True, slots=True)
class _Line:
    run_id: str
    at: str
    label: Label


_LABELS = Ledger("labels", "labels", _Line)


def read(ws: Workspace) -> dict[str, Label]:
    """Return every run's label, runs without one left out; a line of another form is left out."""
    found: dict[str, Label] = {line.run_id: line.label for line in _LABELS.read(ws)}
    return {run_id: label for run_id, label in found.items() if label != NONE}


@changes("label a run")
def label(
    ws: Workspace, run_ids: Sequence[str], *, add: Iterable[str] = (), drop: Iterable[str] = (), **told: Any
) -> dict[str, Label]:
    """Change the labels of runs and return them: fields of `Label` in `told`, tags to `add` and to `drop`.

    Raises EngineError for a run that is not there, and for words that are too long.
    """
    for run_id in run_ids:
        find(ws, run_id)
    more, less = _tags(add), set(_tags(drop))
    with _LABELS.lock(ws):
        known, made = read(ws), dict[str, Label]()
        for run_id in run_ids:
            before = known.get(run_id, NONE)
            after = _checked(replace(before, **told))
            kept = (*after.tags, *more)
            made[run_id] = replace(after, tags=tuple(dict.fromkeys(one for one in kept if one not in less)))
            if made[run_id] != before:
                _LABELS.append(ws, _Line(run_id, now(), made[run_id]))
    return made


def tags(labels: Mapping[str, Label]) -> list[str]:
    """Return every tag in use, in the order of the alphabet."""
    return sorted({tag for label in labels.values() for tag in label.tags})


def _checked(label: Label) -> Label:
    title, note = " ".join(label.title.split()), label.note.strip()
    for what, said, longest in (("title", title, LONGEST_TITLE), ("note", note, LONGEST_NOTE)):
        if len(said) > longest:
            raise EngineError(f"The {what} has {len(said):,} letters.", f"At most {longest:,} are kept.")
    return replace(label, title=title, note=note, tags=_tags(label.tags))


def _tags(said: Iterable[str]) -> tuple[str, ...]:
    """Tags as they are kept: without a comma, which parts them, and without spaces around."""
    found = dict.fromkeys(one.strip() for text in said for one in text.split(",") if one.strip())
    for tag in found:
        if len(tag) > LONGEST_TAG:
            raise EngineError(f"The tag {tag[:20]!r}... has {len(tag)} letters.", f"At most {LONGEST_TAG}.")
    return tuple(found)
