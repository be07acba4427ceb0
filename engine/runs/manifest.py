"""done.json: what makes a run complete. Owns its form, its hashes and their verification.

It is written last, so a folder without it is unfinished; a folder whose files do not match it is torn
and is never taken in.
"""

import json
import os
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.integrity import differences, sha256
from engine.core.paths import TornFile, Workspace, read_json, write_json
from engine.core.stamps import is_whole_table
from engine.runs import usage
from engine.runs.runfolder import CANCEL, declared, now

NAME = "done.json"
_SIZE_BYTES = 8
_LIVING = frozenset({NAME, "status.json", "log.txt", usage.NAME, CANCEL})


def write(workspace: Workspace, run_id: str) -> dict[str, Any]:
    """Write done.json from what the run declared and left; return it. Side effect: hashes every file.

    Raises TornFile where weights or scores were cut off since they were written.
    """
    folder, trained = workspace.run_folder(run_id), workspace.adapters(run_id)
    for path in (*_files(folder), *_adapter_files(trained)):
        _refuse_cut_off(path)
    done = {
        "run_id": run_id,
        "finished_at": now(),
        "files": {path.name: sha256(path) for path in _files(folder)},
        "adapters": {str(path.relative_to(trained)): sha256(path) for path in _adapter_files(trained)},
        "protocols": declared(folder, "protocols", {}),
        "variants": declared(folder, "variants", []),
        "summary": declared(folder, "summary", {}),
    }
    write_json(folder / NAME, done)
    return done


def read(folder: Path) -> dict[str, Any]:
    """Return done.json. Raises EngineError when it is missing, torn or of another form."""
    try:
        done: dict[str, Any] = read_json(folder / NAME)
    except OSError as error:
        raise EngineError(f"{folder / NAME} cannot be read: {error}") from error
    return done


def faults(folder: Path, done: dict[str, Any]) -> list[str]:
    """Return what does not match done.json in the run folder: missing and changed files."""
    return _compare(folder, done["files"])


def adapter_faults(workspace: Workspace, run_id: str, done: dict[str, Any]) -> list[str]:
    """Return the adapter files that are missing or changed since the run ended."""
    return _compare(workspace.adapters(run_id), done.get("adapters", {}))


def _compare(folder: Path, expected: dict[str, str]) -> list[str]:
    return [f"{os.path.relpath(one.path, folder)} {one.what}" for one in differences(folder, expected)]


def _files(folder: Path) -> list[Path]:
    """The lasting files of the top level; folders (checkpoints) and hidden files are working matter."""
    entries = sorted(folder.iterdir())
    return [path for path in entries if path.is_file() and path.name not in _LIVING and path.name[0] != "."]


def _adapter_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def _refuse_cut_off(path: Path) -> None:
    """Raise TornFile for JSON, weights or a table that do not reach to the end they tell of."""
    if path.suffix == ".json":
        read_json(path)
    cut_weights = path.suffix == ".safetensors" and path.stat().st_size != _told_bytes(path)
    cut_table = path.suffix == ".parquet" and not is_whole_table(path)
    if cut_weights or cut_table:
        raise TornFile(path, "is cut off.")


def _told_bytes(path: Path) -> int | None:
    """The size that the header of a file of weights tells of; None where the header itself is damaged."""
    with path.open("rb") as file:
        size = file.read(_SIZE_BYTES)
        length = int.from_bytes(size, "little")
        if len(size) < _SIZE_BYTES or length > path.stat().st_size:
            return None
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    return _SIZE_BYTES + length + max(ends, default=0)
