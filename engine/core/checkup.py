"""Whether every file of a workspace can be read and is of its form: what `doctor` looks at file by file.

Names the file, what is wrong with it and the mend. Reads what the product wrote, follows no link out of the
workspace, changes nothing.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, read_text
from engine.core.stamps import is_whole_table

_FOLDERS = frozenset({"data", "dataset", "splits", "runs", "cache", "trees", "autopilot", "report", "models"})
_FILES = frozenset(
    {".json", ".jsonl", ".parquet", ".safetensors", ".txt", ".lock", ".yaml", ".duckdb", ".bin"}
)
_PASSED_OVER = frozenset({"checkpoint", "parts"})
# Their last line may be cut off by a kill.
_GROWING = frozenset({"events.jsonl", "log.jsonl", "usage.jsonl", "labels.jsonl"})
_DATA = "Repeat the workspace's init with the same choices: it writes the data's files again."
_MENDS = {
    "workspace.json": _DATA,
    "card.json": _DATA,
    "splits.json": _DATA,
    "edgesplits.json": _DATA,
    "personas.jsonl": _DATA,
    "dialogues.jsonl": _DATA,
    "truth.jsonl": _DATA,
    "machine.json": "Delete it, then set what differs from the defaults: python -m engine machine",
    "kernels.json": "Delete it: it is measured again.",
    "state.json": "Delete it: it only says how far that was.",
    "status.json": "Resume the run, or launch the same thing again: it is written again.",
    "spec.json": "Launch the same thing again: it is written again.",
    ".standby.json": "Delete it.",
    ".results-stamp.json": "Delete it: python -m engine rebuild-db",
    "votes.jsonl": "Remove the line: no vote is read from it.",
    "marks.jsonl": "Remove the line: no mark is read from it.",
    "looks.jsonl": "Remove the line: it is written again at the next look.",
    "frozen.jsonl": "Remove the line: no plan is read from it.",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A file that is not as it was written: which, what is wrong, and what to do."""

    path: Path
    what: str
    mend: str


def wrong_files(ws: Workspace, records: Mapping[str, Any]) -> Iterator[Wrong]:
    """Yield every file of the workspace that cannot be read or is of another form.

    `records` says as what files of JSON are read whose owners stand above this room, by their names.
    """
    for root in (ws.data, ws.models):
        if os.path.lexists(root) and not root.is_dir():
            yield _wrong(root, "is no folder")
            continue
        yield from _below(root, ws, records)
    database = ws.database
    if os.path.lexists(database) and not database.is_file():
        yield Wrong(database, "is no file", "Remove it: python -m engine rebuild-db")


def _below(folder: Path, ws: Workspace, records: Mapping[str, Any]) -> Iterator[Wrong]:
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        yield _wrong(folder, f"cannot be read: {error.strerror or error}")
        return
    for path in entries:
        what = _fault(path, ws, records)
        if what:
            yield _wrong(path, what)
        elif path.is_dir() and not path.is_symlink() and path.name not in _PASSED_OVER:
            yield from _below(path, ws, records)


def _fault(path: Path, ws: Workspace, records: Mapping[str, Any]) -> str:
    try:
        found = path.stat()
    except FileNotFoundError:
        return "is a link to nothing" if path.is_symlink() else ""  # gone meanwhile
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    is_folder = stat.S_ISDIR(found.st_mode)
    if not is_folder and not stat.S_ISREG(found.st_mode):
        return "is no file"
    if is_folder:
        return "is a folder" if path.suffix in _FILES and path.parent != ws.models else ""
    if path.name in _FOLDERS or (path.parent == ws.runs and path.name[0] != "."):
        return "is no folder"
    try:
        return _content(path, records.get(path.name))
    except EngineError as error:
        return error.message.removeprefix(f"{path} ").rstrip(".")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _content(path: Path, record: Any) -> str:
    if path.suffix == ".json":
        read_json(path, record)
    elif path.suffix == ".jsonl":
        return _lines(path)
    elif path.suffix == ".parquet":
        return "" if is_whole_table(path) else "is cut off, or no table"
    elif path.suffix in (".yaml", ".txt"):
        read_text(path, errors="replace" if path.suffix == ".txt" else "strict")
    return ""


def _lines(path: Path) -> str:
    lines = read_text(path).split("\n")
    last = len(lines) if path.name in _GROWING else 0
    for number, line in enumerate(lines, 1):
        if not line or number == last:
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return f"is not valid JSON in line {number}"
        if not isinstance(value, (dict, list)):
            return f"holds no JSON object in line {number}"
    return "is empty" if lines == [""] and path.name in ("dialogues.jsonl", "personas.jsonl") else ""


def _wrong(path: Path, what: str) -> Wrong:
    mend = _MENDS.get(path.name) or "Put it back as it was written, or remove it and do again what made it."
    return Wrong(path, what, mend)
