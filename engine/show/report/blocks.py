"""What a report is made of: sections of a few kinds of blocks. Owns the records; renders nothing.

All texts are plain: what marks them up, and escapes them, is the renderer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.show.charts.looks import Chart


@dataclass(frozen=True, slots=True)
class Text:
    """One paragraph. `tone` "note" is a remark to be read before a number, "lead" the first sentence."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of remarks."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of words; the columns named in `right` hold numbers. `caption` says what it shows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A chart. `name` is the file name without suffix, `alt` says in words what is to be seen."""

    name: str
    caption: str
    alt: str
    chart: Chart


@dataclass(frozen=True, slots=True)
class Said:
    """One reply to a question: whose it is, its text, and its score in words ("" without one)."""

    who: str
    text: str
    score: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One example as people read it: what was asked, the right reply, and what variants said."""

    title: str
    asked: str
    replies: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Commands, one a line."""

    lines: tuple[str, ...]


Block = Text | Bullets | Table | Figure | Exchange | Code


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """The whole report. `subtitle` names the workspace's data and base."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]

    @property
    def figures(self) -> Sequence[Figure]:
        """Every figure, in order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Figure)]
