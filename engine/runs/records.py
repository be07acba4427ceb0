"""Runs as they stand, read from their folders. Owns `RunRecord`; changes nothing on disk.

What a record says is what is true now: a run whose processes are gone reads as lost, and one with a
done.json as succeeded, whatever its status file was last told. Files are read again only when they were
replaced, so that looking at a thousand runs every second stays cheap; of many that are done, the records
are kept on disk, for the first look of the next process.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError, unknown_name
from engine.core.kept import held, leave
from engine.core.locks import is_held
from engine.core.paths import Workspace, first_link
from engine.core.stamps import Stamp, stamp
from engine.runs import manifest
from engine.runs.runfolder import (
    RESUMABLE,
    RunSpec,
    State,
    Status,
    alive,
    heartbeat_age_seconds,
    is_put_here,
    read_spec,
    read_status,
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. `spec` is None when spec.json cannot be read (`error` then says why).

    `waiting_for` are upstream runs not yet succeeded; `blocked` says that one of them has ended
    without success, so that the run cannot start before that one is resumed. `elsewhere` says of a queued run
    that it was put into a queue in another place, on another machine or by another user: it starts only once
    somebody takes it up here.
    """

    run_id: str
    experiment: str
    state: State
    spec: RunSpec | None
    status: Status
    waiting_for: tuple[str, ...] = ()
    blocked: bool = False
    error: str | None = None
    elsewhere: bool = False

    @property
    def order(self) -> int:
        return self.status.order

    @property
    def pid(self) -> int | None:
        """The process at work: the worker, or the supervisor before it has one; None when there is none."""
        if self.state != "running":
            return None
        process = self.status.worker or self.status.supervisor
        return process.pid if process else None

    @property
    def estimate_seconds(self) -> float | None:
        """How long it was expected to take at its launch."""
        return self.spec.estimate_seconds if self.spec else None

    @property
    def progress(self) -> float:
        return 1.0 if self.state == "succeeded" else self.status.progress

    @property
    def heartbeat_age_seconds(self) -> float | None:
        """Seconds since the worker's last sign of life, while it runs."""
        return heartbeat_age_seconds(self.status) if self.state == "running" else None

    @property
    def ended(self) -> bool:
        return self.state == "succeeded" or self.state in RESUMABLE

    def to_json(self) -> dict[str, Any]:
        """Return the record as one JSON object; its first five keys are a contract."""
        status, spec = self.status, self.spec
        running = self.state == "running"
        return {
            "run_id": self.run_id,
            "experiment": self.experiment,
            "state": self.state,
            "progress": round(self.progress, 4),
            "pid": self.pid,
            "stage": status.stage,
            "done": status.done,
            "total": status.total,
            "unit": status.unit,
            "eta_seconds": status.eta_seconds if running else None,
            "seconds": round(status.seconds, 3),
            "estimate_seconds": self.estimate_seconds,
            "heartbeat_age_seconds": self.heartbeat_age_seconds,
            "attempt": status.attempt,
            "order": status.order,
            "created_at": spec.created_at if spec else None,
            "queued_at": status.queued_at,
            "started_at": status.started_at,
            "ended_at": status.ended_at,
            "waiting_for": list(self.waiting_for),
            "blocked": self.blocked,
            "error": self.error,
            "hint": status.hint,
            "exit_code": status.exit_code,
            "signal": status.signal,
            "launcher": status.launcher,
            "device": status.device if running else "",
            "freed_bytes": status.freed_bytes,
            "parameters": spec.parameters if spec else {},
            "changed": list(spec.changed) if spec else [],
            "elsewhere": self.elsewhere,
            "seed": spec.seed if spec else None,
            "upstream": spec.upstream if spec else {},
            "cloned_from": spec.cloned_from if spec else "",
        }


def scan(ws: Workspace) -> list[RunRecord]:
    """Return every run of the workspace in queue order. Unreadable folders are records, not errors."""
    try:
        names = os.listdir(ws.runs)
    except (FileNotFoundError, NotADirectoryError):
        return []
    root, kept = str(ws.runs), _KEPT.get(ws.runs)
    if kept is None:
        kept = _ended(held(ws, *_of_all(root)) or {})  # whoever may write the file starts nothing by it
    looked = {name: found for name in names if (found := _look(ws, root, name, kept.get(name))) is not None}
    if ws.runs not in _KEPT:
        _leave(ws, root, looked, kept)
    _KEPT[ws.runs] = looked
    records = {name: found.record for name, found in looked.items()}
    states = {name: record.state for name, record in records.items()}
    linked = [_with_upstreams(record, states) for record in records.values()]
    return sorted(linked, key=lambda record: (record.order, record.run_id))


def find(ws: Workspace, run_id: str) -> RunRecord:
    """Return one run. Raises EngineError, with the nearest known run, when there is none of that id."""
    if "/" in run_id or not (ws.run_folder(run_id) / "spec.json").exists():
        raise unknown_name("run", run_id, [record.run_id for record in scan(ws)])
    record = _read(ws, run_id)
    upstream = record.spec.upstream.values() if record.spec else ()
    return _with_upstreams(record, {name: _state(ws, name) for name in upstream})


_LEFT_ALONE = "It holds a link ({}), which no run makes: nothing of it is read or started."


@dataclass(frozen=True, slots=True)
class _Kept:
    """A record as it was read, and what its folder and its files were then, which are replaced whole."""

    signatures: tuple[Stamp | None, ...]
    record: RunRecord


_KEPT: dict[Path, dict[str, _Kept]] = {}


_MANY = 200
"""So many runs are read anew as quickly as they are found among those kept on disk."""


def _of_all(root: str) -> tuple[str, tuple[str, ...], type[dict[str, _Kept]]]:
    """Where the records of a folder of runs are kept: each counts as long as its run lies as it did."""
    return "runs", (root,), dict[str, _Kept]


def _leave(ws: Workspace, root: str, looked: Mapping[str, _Kept], known: Mapping[str, _Kept]) -> None:
    """Keep the ended runs for the next process, where that had to read many that this one knew nothing of."""
    if sum(found is not known.get(name) for name, found in looked.items()) < _MANY:
        return
    leave(ws, *_of_all(root), _ended(looked))


def _ended(known: Mapping[str, _Kept]) -> dict[str, _Kept]:
    return {
        name: found
        for name, found in known.items()
        if found.record.ended and found.record.status.state != "running"
    }


def _look(ws: Workspace, root: str, run_id: str, kept: _Kept | None) -> _Kept | None:
    """Read a run unless it was read as it is now; None when the folder is no run's."""
    folder = f"{root}/{run_id}"
    spec = stamp(f"{folder}/spec.json")
    if spec is None:
        return None
    others = (folder, f"{folder}/status.json", f"{folder}/{manifest.NAME}")
    signatures = (spec, *map(stamp, others))
    still = kept is not None and kept.signatures == signatures
    states = {kept.record.state, kept.record.status.state} if kept is not None else set()
    if kept is not None and still and "running" not in states:  # processes leave no file behind
        return kept
    return _Kept(signatures, _read(ws, run_id))


def _read(ws: Workspace, run_id: str) -> RunRecord:
    folder = ws.run_folder(run_id)
    experiment = run_id.rsplit("-", 1)[0]
    if link := first_link(folder):
        left = _LEFT_ALONE.format(link.name)
        return RunRecord(run_id, experiment, "lost", None, Status(state="lost", error=left), error=left)
    status = read_status(folder)
    state = true_state(ws, run_id, status)
    if state == "succeeded" != status.state:
        status = read_status(folder)  # it may have ended between the two looks
    try:
        spec = read_spec(folder)
    except EngineError as error:
        return _without_spec(run_id, state, status, error.message)
    if spec.run_id != run_id:
        return _without_spec(run_id, state, status, f"Its spec is that of another run: {spec.run_id}.")
    found = RunRecord(run_id, spec.experiment, state, spec, status, error=_error(state, status))
    return replace(found, elsewhere=state == "queued" and not is_put_here(ws, spec, status))


def _without_spec(run_id: str, state: State, status: Status, error: str) -> RunRecord:
    """A run that nobody can have put into the queue as it is now."""
    experiment = run_id.rsplit("-", 1)[0]
    return RunRecord(run_id, experiment, state, None, status, error=error, elsewhere=state == "queued")


def _error(state: State, status: Status) -> str | None:
    if state == "succeeded":
        return None
    if state == "lost" and status.state == "running":
        return "The process is gone and left no word."
    if state == "lost" and status.state == "succeeded":
        return "It had succeeded, but its done.json is gone."
    return status.error


def true_state(ws: Workspace, run_id: str, status: Status) -> State:
    """Return the state that holds now, whatever status.json was last told."""
    if (ws.run_folder(run_id) / manifest.NAME).exists():
        return "succeeded"
    if status.state == "succeeded" or (status.state == "running" and not alive(status)):
        return "lost"
    if status.state == "lost" and not status.attempt and is_held(ws.run_folder(run_id) / ".worker.lock"):
        return "running"  # status.json was torn under a worker, which writes it again at its next heartbeat
    return status.state


def _state(ws: Workspace, run_id: str) -> State:
    return true_state(ws, run_id, read_status(ws.run_folder(run_id)))


def _with_upstreams(record: RunRecord, states: Mapping[str, State]) -> RunRecord:
    if record.spec is None or record.state != "queued":
        return record
    waiting = tuple(name for name in record.spec.upstream.values() if states.get(name) != "succeeded")
    blocked = any(states.get(name, "lost") in RESUMABLE for name in waiting)
    return replace(record, waiting_for=waiting, blocked=blocked)
