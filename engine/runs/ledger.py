"""A file of lines in a workspace's data folder that only ever grows: votes, marks, labels, looks, plans.

Owns where such a file lies, the lock it is written under and its reading. What a line says, and what takes it
back, is of whoever owns the file; no database holds it, so none can lose it.
"""

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.core.locks import locked
from engine.core.paths import Workspace, read_rows
from engine.core.stamps import grown
from engine.runs.runfolder import append_line


@dataclass(frozen=True, slots=True)
class Ledger:
    """data/NAME.jsonl, a record of `form` a line; `what` completes "The record of ..." in errors."""

    name: str
    what: str
    form: Any

    def path(self, ws: Workspace) -> Path:
        """Return where it lies."""
        return ws.data / f"{self.name}.jsonl"

    def lock(self, ws: Workspace) -> AbstractContextManager[None]:
        """Return the lock that lines are added under."""
        return locked(ws.data / f".{self.name}.lock", what=f"The record of {self.what}")

    def read(self, ws: Workspace) -> list[Any]:
        """Return its lines, first to last; one torn by a kill or of another form is left out."""
        return read_rows(self.path(ws), self.form)

    def append(self, ws: Workspace, line: Any) -> None:
        """Add a record as one line."""
        append_line(self.path(ws), json.dumps(asdict(line), ensure_ascii=False, allow_nan=False))

    def size(self, ws: Workspace) -> int:
        """Return what grows with each line, 0 before the first."""
        return grown(self.path(ws))
