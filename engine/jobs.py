"""The queue of runs. Owns submitting, starting, cancelling, resuming and the finding of dead runs.

The queue is the run folders themselves plus one file lock: no server, no table. It meets the worker on
the run folder only, and computes nothing.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine import launchers, manifest
from engine.errors import EngineError
from engine.locks import queue_lock
from engine.paths import Workspace
from engine.processes import ProcessIdentity, running, signal_group, wait_until_gone
from engine.records import RunRecord, find, scan
from engine.runfolder import (
    CANCEL,
    RESUMABLE,
    RunSpec,
    State,
    Status,
    alive,
    append_line,
    cancel_requested,
    now,
    read_log,
    read_status,
    request_cancel,
    write_spec,
    write_status,
)

if TYPE_CHECKING:  # a supervisor needs no catalog
    from engine.experiments.plan import Plan

TRAINING_SLOTS = 1
GRACE_SECONDS = 20.0
_KILL_SECONDS = 10.0
_log = logging.getLogger("engine.jobs")
_LOST_SIGNALS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit did with one run of a plan."""

    record: RunRecord
    what: Literal["queued", "exists", "resumed"]


def submit(ws: Workspace, plan: Plan, *, retry: bool = False) -> list[Submitted]:
    """Queue the plan's runs and start what can start; return one entry a run, in the plan's order.

    A run that exists is returned as it stands, so that launching twice gives one run; with `retry`, a
    failed, cancelled or lost one is queued again and goes on from its last checkpoint.
    """
    with queue_lock(ws):
        present = {record.run_id: record for record in scan(ws)}
        order = max((record.order for record in present.values()), default=0)
        did: dict[str, Literal["queued", "exists", "resumed"]] = {}
        for position, spec in enumerate(plan.specs, start=1):
            known = present.get(spec.run_id)
            if known is None:
                _create(ws, spec, order=order + position)
                did[spec.run_id] = "queued"
            elif retry and known.state in RESUMABLE:
                _requeue(ws, known)
                did[spec.run_id] = "resumed"
            else:
                did[spec.run_id] = "exists"
        _advance(ws)
    return [Submitted(find(ws, run_id), what) for run_id, what in did.items()]


def advance(ws: Workspace) -> None:
    """Record dead runs as what they are and start every queued run that can start. Safe at any time."""
    with queue_lock(ws):
        _advance(ws)


def list_runs(ws: Workspace) -> list[RunRecord]:
    """Return all runs in queue order; side effect: heals a queue that nobody looks after.

    What cannot be healed now (a full disk, a read-only folder) is warned of, and the runs are shown as
    they stand: looking never fails.
    """
    records = scan(ws)
    if _needs_care(records):
        try:
            advance(ws)
        except (EngineError, OSError) as error:
            _log.warning("The queue could not be moved: %s", error)
        records = scan(ws)
    return records


def cancel(ws: Workspace, run_id: str, *, grace_seconds: float = GRACE_SECONDS) -> RunRecord:
    """End a run: SIGTERM to its process group, SIGKILL after `grace_seconds`; return it once it is gone.

    A queued run leaves the queue. Raises EngineError when the run has ended already or will not die.
    """
    find(ws, run_id)  # before the lock, which would make the folder of a workspace that is none
    with queue_lock(ws):
        record = find(ws, run_id)
        if record.state not in ("queued", "running"):
            raise EngineError(f"{run_id} cannot be cancelled: it has {_ended(record.state)}.")
        folder = ws.run_folder(run_id)
        if record.state == "queued":
            write_status(folder, replace(record.status, state="cancelled", ended_at=now(), eta_seconds=None))
            return find(ws, run_id)
        request_cancel(folder, record.status.attempt)
    _end_processes(folder, record.status, grace_seconds=grace_seconds)
    advance(ws)
    return find(ws, run_id)


def resume(ws: Workspace, run_id: str) -> RunRecord:
    """Queue a failed, cancelled or lost run again, and the ended upstreams it waits for; it goes on from
    its last checkpoint. Raises EngineError with the reason when it cannot be resumed."""
    find(ws, run_id)
    with queue_lock(ws):
        record = find(ws, run_id)
        if record.state not in RESUMABLE and not record.blocked:
            raise EngineError(f"{run_id} cannot be resumed: it {_is(record.state)}.")
        _resume(ws, record)
        _advance(ws)
    return find(ws, run_id)


def wait(
    ws: Workspace,
    run_ids: Iterable[str],
    *,
    timeout_seconds: float | None = None,
    poll_seconds: float = 0.5,
    show: Callable[[Sequence[RunRecord]], None] | None = None,
) -> list[RunRecord]:
    """Wait until every one of the runs has ended or is blocked; return them in the order given.

    `show` is called with the records at every look. Raises EngineError after `timeout_seconds`.
    """
    wanted = list(run_ids)
    until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    while True:
        by_id = {record.run_id: record for record in list_runs(ws)}
        records = [by_id[run_id] if run_id in by_id else find(ws, run_id) for run_id in wanted]
        if show is not None:
            show(records)
        if all(record.ended or record.blocked for record in records):
            return records
        if until is not None and time.monotonic() >= until:
            raise EngineError("The runs have not ended in time.", "They go on: python -m engine status")
        time.sleep(poll_seconds)


def settle(ws: Workspace, run_id: str, *, exit_code: int | None = None) -> Status:
    """Record how an ended run ended and return its status. Call it under the queue lock, once nothing runs.

    `exit_code` is the worker's, negative for a signal, None when nobody saw it end.
    """
    folder = ws.run_folder(run_id)
    status = read_status(folder)
    killed_by = _signal_name(exit_code)
    seen = replace(
        status, exit_code=exit_code, signal=killed_by, eta_seconds=None, ended_at=status.ended_at or now()
    )
    if (folder / manifest.NAME).exists():
        ended = replace(seen, state="succeeded", progress=1.0, error=None, hint=None)
    elif status.state in RESUMABLE and status.attempt:
        ended = seen
    else:
        ended = _unexplained(folder, seen, exit_code)
    write_status(folder, ended)
    return ended


def _unexplained(folder: Path, status: Status, exit_code: int | None) -> Status:
    """The end of a worker that left no word of its own."""
    if cancel_requested(folder, status.attempt):
        return replace(status, state="cancelled", error=None, hint=None)
    tail = "\n".join(line for line in read_log(folder, last_lines=5) if line.strip())
    state: State = "failed"
    if exit_code is None:
        state, reason = "lost", "The process is gone and left no word."
    elif exit_code < 0:
        state = "lost" if -exit_code in _LOST_SIGNALS else "failed"
        reason = f"The process was ended by {status.signal}."
    else:
        reason = f"The process ended with exit code {exit_code} and without a result."
    error = f"{reason} Last lines of the log:\n{tail}" if tail else reason
    run_id = folder.name
    return replace(
        status,
        state=state,
        error=error,
        hint=f"Go on from the last checkpoint: python -m engine resume {run_id}",
    )


def _advance(ws: Workspace) -> None:
    records = scan(ws)
    for record in records:
        if _died(record):
            settle(ws, record.run_id)
    for record in _ready(scan(ws))[: max(0, TRAINING_SLOTS - _busy(records))]:
        _start(ws, record)


def _ready(records: Iterable[RunRecord]) -> list[RunRecord]:
    return [
        record for record in records if record.state == "queued" and record.spec and not record.waiting_for
    ]


def _busy(records: Sequence[RunRecord]) -> int:
    """Slots in use: also by a worker that has said its last word and is still on its way out."""
    starting = (record for record in records if record.status.state == "running")
    used = {record.run_id for record in starting if alive(record.status)}
    return len(used | {record.run_id for record in records if running(record.status.worker)})


def _died(record: RunRecord) -> bool:
    return record.status.state == "running" and not alive(record.status)


def _needs_care(records: Sequence[RunRecord]) -> bool:
    if any(_died(record) for record in records):
        return True
    return bool(_ready(records)) and _busy(records) < TRAINING_SLOTS


def _start(ws: Workspace, record: RunRecord) -> None:
    """Start a queued run. The supervisor waits for the queue lock, so it finds its own name in the status."""
    attempt = record.status.attempt + 1
    who = launchers.get(record.status.launcher).start(ws, record.run_id, attempt)
    begun = replace(
        record.status, state="running", attempt=attempt, supervisor=who, worker=None, heartbeat=None
    )
    begun = replace(
        begun, started_at=now(), ended_at=None, error=None, hint=None, exit_code=None, signal=None
    )
    write_status(ws.run_folder(record.run_id), begun)


def _create(ws: Workspace, spec: RunSpec, *, order: int) -> None:
    folder = ws.run_folder(spec.run_id)
    write_status(folder, Status(state="queued", order=order, queued_at=now()))
    write_spec(folder, spec)


def _requeue(ws: Workspace, record: RunRecord) -> None:
    folder = ws.run_folder(record.run_id)
    (folder / CANCEL).unlink(missing_ok=True)
    append_line(folder / "log.txt", f"{now()} queued again after: {record.state}")
    write_status(folder, replace(record.status, state="queued", queued_at=now(), error=None, hint=None))


def _resume(ws: Workspace, record: RunRecord) -> None:
    for upstream in record.waiting_for or (record.spec.upstream.values() if record.spec else ()):
        _resume(ws, find(ws, upstream))
    if record.state in RESUMABLE:
        _requeue(ws, record)


def _end_processes(folder: Path, status: Status, *, grace_seconds: float) -> None:
    """End the worker and then the supervisor of one attempt; a later attempt is left alone."""
    attempt, until = status.attempt, time.monotonic() + grace_seconds
    told = None
    while alive(status) and time.monotonic() < until:
        if status.worker != told and signal_group(status.worker, signal.SIGTERM):
            told = status.worker
        time.sleep(0.05)
        latest = read_status(folder)
        status = latest if latest.attempt == attempt else status
    _kill(folder, status.supervisor)  # first, so that no worker is started any more
    latest = read_status(folder)
    _kill(folder, latest.worker if latest.attempt == attempt else status.worker)


def _kill(folder: Path, process: ProcessIdentity | None) -> None:
    signal_group(process, signal.SIGKILL)
    if process and not wait_until_gone(process, timeout_seconds=_KILL_SECONDS):
        raise EngineError(
            f"Process {process.pid} of {folder.name} does not end, even by SIGKILL.",
            f"It hangs in the kernel (a disk or a driver): ps -o pid,stat,wchan -p {process.pid}",
        )


def _signal_name(exit_code: int | None) -> str | None:
    if exit_code is None or exit_code >= 0:
        return None
    known = {number.value: number.name for number in signal.Signals}
    return known.get(-exit_code, f"signal {-exit_code}")


def _is(state: State) -> str:
    return {"queued": "is queued", "running": "is running"}.get(state, f"has {_ended(state)}")


def _ended(state: State) -> str:
    return {"cancelled": "been cancelled", "lost": "been lost"}.get(state, state)
