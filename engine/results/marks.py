"""What people say of single replies: right, wrong or interesting, and a note. Owns data/marks.jsonl.

The file only ever grows: no database holds marks, so none can lose them. The last one on a reply counts, an
empty one takes it back. A mark is on what was said, not on who said it: variants that say the same share it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engine.core.errors import EngineError
from engine.core.machine import changes
from engine.core.paths import Workspace
from engine.runs.ledger import Ledger
from engine.runs.runfolder import now

MARKS: Final[dict[str, str]] = {"right": "Right", "wrong": "Wrong", "interesting": "Interesting"}
LONGEST_NOTE: Final = 2000  # characters

Said = tuple[str, str]
"""What a mark is on: an example's id, and the text of a reply to it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark: on which reply to which example, what it says, and the variants that said so then."""

    at: str
    persona_id: str
    example_id: str
    reply: str
    right_reply: str
    mark: str
    note: str
    variants: tuple[str, ...] = ()

    @property
    def said(self) -> Said:
        return self.example_id, self.reply


_MARKS = Ledger("marks", "marks", Mark)
path, size = _MARKS.path, _MARKS.size


@changes("mark a reply")
def put(
    ws: Workspace,
    said: Said,
    mark: str,
    *,
    note: str = "",
    persona_id: str,
    right_reply: str = "",
    variants: Iterable[str] = (),
) -> Mark:
    """Write what a person says of a reply, and return it; neither mark nor note takes back what was said.

    Raises EngineError for a mark that there is none of, and for a note too long.
    """
    if mark and mark not in MARKS:
        raise EngineError(f"There is no mark {mark!r}.", f"Choose one of: {', '.join(MARKS)}.")
    if len(note) > LONGEST_NOTE:
        raise EngineError(
            f"A note has at most {LONGEST_NOTE:,} characters; this has {len(note):,}.", "Shorten it."
        )
    example_id, reply = said
    made = Mark(now(), persona_id, example_id, reply, right_reply, mark, note.strip(), tuple(variants))
    with _MARKS.lock(ws):
        _MARKS.append(ws, made)
    return made


def read(ws: Workspace) -> dict[Said, Mark]:
    """Return the marks that stand, first to last; a line torn by a kill or of another form is left out."""
    found: dict[Said, Mark] = {}
    for mark in _MARKS.read(ws):
        found.pop(mark.said, None)
        if mark.mark or mark.note:
            found[mark.said] = mark
    return found
