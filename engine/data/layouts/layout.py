"""What a layout is: one record of how it is recognised and read, and what is looked at to recognise it.

Owns the records and the first look at a file. Reads no dialogue.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.packed import ending_of, stem_of
from engine.data.rows import read_rows

if TYPE_CHECKING:
    from engine.data.assemble import Imported
    from engine.data.mapping import Mapping

_LOOKED_AT = 20
_MOST_LATER = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file that can be read, later ones that bring another column, and the first fault
    met.
    """

    path: Path
    rows: tuple[dict[str, Any], ...]
    fault: str = ""

    @property
    def keys(self) -> frozenset[str]:
        """The columns of all rows looked at."""
        return frozenset(key for row in self.rows for key in row)

    @property
    def stem(self) -> str:
        """The file's name without what says how it is written."""
        return stem_of(self.path)

    @property
    def is_table(self) -> bool:
        """Whether its cells are text whatever they hold."""
        return ending_of(self.path) in (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of files. `title` and `takes` (what a row is) are what people read.

    `recognises` looks at a first sample alone; `read` gets all files of the layout that were found in one
    place, more than one only with `divided` (a file a split, or a part).
    """

    name: str
    title: str
    takes: str
    recognises: Callable[[Sample], bool]
    read: "Callable[[tuple[Sample, ...], Mapping], Imported]"
    divided: bool = False


def look_at(path: Path, encoding: str = "") -> Sample:
    """Return the first rows of a file, and of all others those in which a column holds something for the
    first time; none where none can be read.

    A column may be empty for thousands of rows, or stand in none of them: what it is would be missed, and
    what it says (a split, a date) passed over without a word.
    """
    rows: list[dict[str, Any]] = []
    known: set[str] = set()
    fault = ""
    for line in read_rows(path, encoding):
        fault = fault or line.fault
        if line.value is None:
            continue
        new = _held(line.value) - known
        if new or len(rows) < _LOOKED_AT:
            rows.append(line.value)
            known |= new
        if len(rows) > _LOOKED_AT + _MOST_LATER:
            break  # rows that name their columns each in its own way: of those, no number tells more
    return Sample(path, tuple(rows), fault)


def _held(row: dict[str, Any]) -> set[str]:
    """The columns in which a row holds something, and those of the objects in them."""
    found = {name for name, value in row.items() if value is not None and value != "" and value != []}
    inner = (
        f"{name}.{key}"
        for name, value in row.items()
        if isinstance(value, dict)
        for key, held in value.items()
        if held is not None and held != ""
    )
    return found.union(inner)


def beside(folder: Path, name: str) -> Path | None:
    """Return the file `name` of a folder, or the one of the same name written in another way; None for
    none.
    """
    exact = folder / name
    if exact.exists():
        return exact
    wanted = stem_of(exact)
    found = sorted(path for path in folder.iterdir() if stem_of(path) == wanted and path.is_file())
    return found[0] if found else None
