"""What of a workspace could go: found, sized, and taken away only by its kind, once somebody says so.

Never among it: what a variant answers by, what a result was made from, and anything of a run that waits or
works. Links are neither followed nor removed.
"""

import re
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.core.errors import EngineError, unknown_name
from engine.core.locks import queue_lock
from engine.core.machine import changes
from engine.core.paths import Workspace, first_link, is_temporary, read_text
from engine.core.stamps import held
from engine.core.wording import count, size
from engine.data.staging import PREFIX
from engine.results.store.database import DAMAGED
from engine.runs import answers, manifest
from engine.runs.records import RunRecord, scan
from engine.runs.runfolder import RESUMABLE
from engine.strategies import deleting

KINDS: Final[Mapping[str, str]] = {
    "checkpoints": "of runs that are done: nothing goes on from them",
    "adapters": "of runs that are gone, which no variant answers by",
    "deleted": "runs put aside, which could still be brought back",
    "temporary": "files half written when a process was killed, older than a day",
    "damaged": "a results.duckdb that could not be read, put aside when it was built again",
    "outdated": "scores computed for replies that a run has no more",
    "caches": "embeddings and figures that are made again when they are needed",
    "unfinished": "work of runs that failed, were cancelled or lost: resumed, they would start over",
}
"""What can go, by kind; the last is work that a resumed run would go on from."""
_RUN = re.compile(r"[a-z][a-z0-9-]*-[0-9a-f]{8}")
_WORK: Final = ("checkpoint", "parts")
_DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that could go, of which run where it is of one, and the bytes it takes."""

    kind: str
    path: Path
    size_bytes: int
    run_id: str = ""


def leftovers(ws: Workspace) -> list[Leftover]:
    """Return everything that could go, the largest first. Changes nothing."""
    records = scan(ws)
    found = [
        Leftover(kind, path, held(path)[0], run_id)
        for kind, path, run_id in _found(ws, records)
        if first_link(path) is None
    ]
    return sorted([*found, *_deleted(ws)], key=lambda one: (-one.size_bytes, str(one.path), one.run_id))


def total(found: Iterable[Leftover]) -> int:
    """Return how many bytes these take."""
    return sum(one.size_bytes for one in found)


def words(found: Sequence[Leftover]) -> str:
    """Word how many these are and what they take: "3 files and folders, 5.2 MB"."""
    return f"{count(len(found), 'file or folder', 'files and folders')}, {size(total(found))}"


@changes("clean up", least="own")
def clean(ws: Workspace, kinds: Collection[str]) -> list[Leftover]:
    """Take away what is of these kinds; return what went. Looked at anew under the queue's lock.

    Raises EngineError for a kind that there is not.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of leftover", kind, KINDS)
    gone = []
    with queue_lock(ws):
        for one in leftovers(ws):
            if one.kind in kinds and one.kind != "deleted":
                _remove(one.path)
                gone.append(one)
    if "deleted" in kinds:
        aside = _deleted(ws)
        deleting.purge(ws, [one.run_id for one in aside])
        gone += aside
    return gone


def _deleted(ws: Workspace) -> list[Leftover]:
    return [Leftover("deleted", ws.data, one.size_bytes, one.run_id) for one in deleting.deleted(ws)]


def _found(ws: Workspace, records: Iterable[RunRecord]) -> Iterator[tuple[str, Path, str]]:
    by_id = {record.run_id: record for record in records}
    for run_id, record in by_id.items():
        kind = "checkpoints" if record.state == "succeeded" else "unfinished"
        if record.state == "succeeded" or record.state in RESUMABLE:
            for name in _WORK:
                if (path := ws.run_folder(run_id) / name).is_dir():
                    yield kind, path, run_id
    yield from _adapters(ws, by_id)
    busy = {run_id for run_id, record in by_id.items() if record.state in ("queued", "running")}
    yield from (("temporary", path, "") for path in _temporary(ws, busy))
    if (damaged := ws.database.with_suffix(DAMAGED)).is_file():
        yield "damaged", damaged, ""
    aside = {one.run_id for one in deleting.deleted(ws)}
    for folder in _inside(ws.data / "rescored"):
        if folder.name in aside:
            continue
        if folder.name not in by_id:
            yield "outdated", folder, folder.name
        elif by_id[folder.name].state == "succeeded":
            yield from (("outdated", path, folder.name) for path in answers.superseded(ws, folder.name))
    if not busy:
        yield from (("caches", path, "") for path in _inside(ws.cache) if path.suffix != ".lock")


def _adapters(ws: Workspace, by_id: Mapping[str, RunRecord]) -> Iterator[tuple[str, Path, str]]:
    """Adapters that neither a variant answers by nor another run stands on."""
    found = []
    for path in _inside(ws.models):
        if path.is_dir() and _RUN.fullmatch(path.name):
            record = by_id.get(path.name)
            if record is not None and record.state in RESUMABLE:
                found.append(("unfinished", path, path.name))
            elif record is None and not ws.run_folder(path.name).exists():
                found.append(("adapters", path, path.name))
    needed = _needed(ws, by_id.values()) if found else set()
    yield from (one for one in found if one[2] not in needed)


def _needed(ws: Workspace, records: Iterable[RunRecord]) -> set[str]:
    """The runs that a variant answers by, or that another run stands on. Opens no database: on a full disk
    none may be written."""
    done = [ws.run_folder(one.run_id) / manifest.NAME for one in records if one.state == "succeeded"]
    named = {run_id for path in done for run_id in _RUN.findall(read_text(path, errors="replace"))}
    specs = (record.spec for record in records if record.spec is not None)
    return named | {run_id for spec in specs for run_id in spec.upstream.values()}


def _temporary(ws: Workspace, busy: Collection[str]) -> Iterator[Path]:
    """What a write left that never came to its end: `.NAME.part` and `.incoming-XXXXXXXX` folders, and
    `.NAME.XXXXXXXX` files."""
    until = time.time() - _DAY_SECONDS
    deep = (ws.data, ws.runs, ws.models, ws.data / "rescored")
    places = [ws.data, ws.models, *(inner for folder in deep for inner in _inside(folder))]
    for folder in places:
        if folder.name in busy or folder == ws.cache:
            continue
        for path in _inside(folder):
            half = path.name.startswith(PREFIX) or path.name.startswith(".") and path.name.endswith(".part")
            if (half or is_temporary(path.name)) and path.lstat().st_mtime < until:
                yield path


def _inside(folder: Path) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink())


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise EngineError(
            f"{path} could not be removed: {error.strerror or error}", "What went before it is gone."
        ) from error
