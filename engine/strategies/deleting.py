"""Deleting runs, and taking that back. Owns data/.deleted and models/.deleted.

A deleted run's files are put aside whole, so that it is gone for all that reads runs and can be brought back
as it was; they are removed only by `purge`. What others stand on is not deleted.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import EngineError, unknown_name
from engine.core.locks import queue_lock
from engine.core.machine import changes
from engine.core.paths import Workspace, make_folder, plain_name
from engine.core.stamps import held
from engine.core.wording import count
from engine.runs.records import RunRecord, find, scan
from engine.strategies.reference import ground_of, references

_ASIDE = ".deleted"
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Deleted:
    """A run put aside, when (seconds since 1970), and how much its files take."""

    run_id: str
    at: float
    size_bytes: int


def obstacle(ws: Workspace, run_ids: Sequence[str]) -> EngineError | None:
    """Return why these runs cannot be deleted together; None where they can.

    A run at work or in the queue is cancelled first; what others build on goes after or with them; and the
    reference stays while anything of its ground does.
    """
    records = scan(ws)
    chosen = [_known(records, run_id) for run_id in run_ids]
    left = [record for record in records if record.run_id not in run_ids]
    for record in chosen:
        if not record.ended:
            what = "at work" if record.state == "running" else "in the queue"
            return EngineError(
                f"{record.run_id} is {what}.", f"First: python -m engine cancel {record.run_id}"
            )
        if above := dependents(left, record.run_id):
            names = ", ".join(above[:_NAMED]) + (" ..." if len(above) > _NAMED else "")
            return EngineError(
                f"{count(len(above), 'run')} built on {record.run_id}: {names}.",
                "Delete those first, or with it.",
            )
        if _is_needed_as_reference(ws, record, left):
            return EngineError(
                f"{record.run_id} is the reference, which others are compared with.",
                "Make another run the reference first: python -m engine reference RUN",
            )
    return None


def dependents(records: Sequence[RunRecord], run_id: str) -> list[str]:
    """Return the runs that build on one, directly."""
    return [one.run_id for one in records if one.spec and run_id in one.spec.upstream.values()]


@changes("delete a run")
def delete(ws: Workspace, run_ids: Sequence[str]) -> list[Deleted]:
    """Put ended runs aside with their adapters, and return them. Raises EngineError as `obstacle` says."""
    with queue_lock(ws):
        if (refused := obstacle(ws, run_ids)) is not None:
            raise refused
        for run_id in run_ids:
            _drop(ws, run_id)  # of an earlier run of this name, deleted as well
            for home, aside in _places(ws, run_id):
                if home.exists():
                    make_folder(aside.parent)
                    os.replace(home, aside)
            os.utime(_aside(ws, run_id))
    return [one for one in deleted(ws) if one.run_id in run_ids]


@changes("bring a run back")
def restore(ws: Workspace, run_ids: Sequence[str]) -> list[RunRecord]:
    """Bring deleted runs back as they were. Raises EngineError for one that was made anew meanwhile."""
    with queue_lock(ws):
        for run_id in run_ids:
            _find(ws, run_id)
            if ws.run_folder(run_id).exists():
                raise EngineError(f"{run_id} was run again meanwhile.", "Delete that one first.")
        for run_id in run_ids:
            for home, aside in reversed(
                _places(ws, run_id)
            ):  # the run's folder last: with it the run is there
                if aside.exists():
                    if home.exists():
                        raise EngineError(
                            f"{home} is in the way.", f"Move it away: nothing belongs to {run_id}."
                        )
                    make_folder(home.parent)
                    os.replace(aside, home)
    return [find(ws, run_id) for run_id in run_ids]


@changes("remove a run's files")
def purge(ws: Workspace, run_ids: Sequence[str]) -> int:
    """Remove the files of deleted runs for good; return how many bytes they took."""
    with queue_lock(ws):
        found = [_find(ws, run_id) for run_id in run_ids]
        for one in found:
            _drop(ws, one.run_id)
            if not ws.run_folder(one.run_id).exists():
                shutil.rmtree(ws.data / "rescored" / one.run_id, ignore_errors=True)
    return sum(one.size_bytes for one in found)


def deleted(ws: Workspace) -> list[Deleted]:
    """Return the runs that can be brought back, the last deleted first."""
    try:
        with os.scandir(ws.data / _ASIDE) as entries:
            found = [(entry.name, entry.stat().st_mtime) for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []
    gone = [Deleted(name, at, sum(held(aside)[0] for _, aside in _places(ws, name))) for name, at in found]
    return sorted(gone, key=lambda one: (-one.at, one.run_id))


def _known(records: Sequence[RunRecord], run_id: str) -> RunRecord:
    for record in records:
        if record.run_id == run_id:
            return record
    raise unknown_name("run", run_id, [record.run_id for record in records])


def _is_needed_as_reference(ws: Workspace, record: RunRecord, left: Sequence[RunRecord]) -> bool:
    chosen = {one.run_id: ground for ground, one in references(ws).items()}
    if record.run_id not in chosen:
        return False
    ground = chosen[record.run_id]
    return any(one.spec and one.state == "succeeded" and ground_of(one.spec) == ground for one in left)


def _find(ws: Workspace, run_id: str) -> Deleted:
    there = deleted(ws)
    for one in there:
        if one.run_id == run_id:
            return one
    raise unknown_name("deleted run", run_id, [one.run_id for one in there])


def _drop(ws: Workspace, run_id: str) -> None:
    for _, aside in reversed(_places(ws, run_id)):
        if aside.exists():
            shutil.rmtree(aside)


def _places(ws: Workspace, run_id: str) -> list[tuple[Path, Path]]:
    """Where a run's files lie, and where they lie while it is deleted: on the same file system."""
    return [
        (ws.run_folder(run_id), _aside(ws, run_id)),
        (ws.adapters(run_id), ws.models / _ASIDE / plain_name(run_id, what="a run")),
    ]


def _aside(ws: Workspace, run_id: str) -> Path:
    return ws.data / _ASIDE / plain_name(run_id, what="a run")
