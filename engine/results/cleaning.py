"""What of a workspace could go: found, sized, and taken away only by its kind, once somebody says so.

Never among it: what a variant answers by, what a result was made from, and anything of a run that waits or
works. Links are neither followed nor removed.
"""

from __future__ import annotations

import json
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
from engine.core.paths import Workspace, first_link, is_temporary
from engine.core.stamps import held
from engine.core.wording import count, size
from engine.results import store
from engine.runs import answers
from engine.runs.records import RunRecord, scan
from engine.runs.runfolder import RESUMABLE
from engine.strategies import deleting

KINDS: Final[Mapping[str, str]] = {
    "checkpoints": "of runs that are done: nothing goes on from them",
    "adapters": "of runs that are gone, which no variant answers by",
    "deleted": "runs put aside, which could still be brought back",
    "temporary": "files half written when a process was killed, older than a day",
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
    needed = _needed(ws, by_id.values())
    for run_id, record in by_id.items():
        kind = "checkpoints" if record.state == "succeeded" else "unfinished"
        if record.state == "succeeded" or record.state in RESUMABLE:
            for name in _WORK:
                if (path := ws.run_folder(run_id) / name).is_dir():
                    yield kind, path, run_id
        if record.state in RESUMABLE and run_id not in needed and ws.adapters(run_id).is_dir():
            yield "unfinished", ws.adapters(run_id), run_id
    for path in _inside(ws.models):
        is_run = path.is_dir() and _RUN.fullmatch(path.name)
        if is_run and not ws.run_folder(path.name).exists() and path.name not in needed:
            yield "adapters", path, path.name
    busy = {run_id for run_id, record in by_id.items() if record.state in ("queued", "running")}
    yield from (("temporary", path, "") for path in _temporary(ws, busy))
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


def _needed(ws: Workspace, records: Iterable[RunRecord]) -> set[str]:
    """The runs that a variant answers by, or that another run stands on."""
    told = [json.dumps(dict(one.recipe)) for one in store.variants(ws)]
    named = {run_id for text in told for run_id in _RUN.findall(text)}
    specs = (record.spec for record in records if record.spec is not None)
    return named | {run_id for spec in specs for run_id in spec.upstream.values()}


def _temporary(ws: Workspace, busy: Collection[str]) -> Iterator[Path]:
    """What a write left that never came to its end: `.NAME.part` folders and `.NAME.XXXXXXXX` files."""
    until = time.time() - _DAY_SECONDS
    places = [ws.data, ws.dataset, ws.splits, ws.models, ws.runs, *_inside(ws.runs), *_inside(ws.models)]
    for folder in places:
        if folder.name in busy:
            continue
        for path in _inside(folder):
            half = path.name.startswith(".") and path.name.endswith(".part")
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
