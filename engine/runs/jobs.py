"""The queue of runs. Owns submitting, starting, cancelling, resuming and the finding of dead runs.

The queue is the run folders themselves plus one file lock: no server, no table. It meets the worker on
the run folder only, and computes nothing.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.locks import queue_lock
from engine.core.machine import (
    Machine,
    changes,
    declared_read_only,
    read_machine,
    read_only,
    refuse_foreign_cluster,
)
from engine.core.paths import Workspace, first_link
from engine.runs import launchers, registry, slots, standby
from engine.runs.endings import end_processes, settle
from engine.runs.launchers import local
from engine.runs.processes import group_memory_bytes
from engine.runs.queue_order import moved, places
from engine.runs.records import RunRecord, find, scan
from engine.runs.room import refuse_without
from engine.runs.runfolder import (
    CANCEL,
    RESUMABLE,
    RunSpec,
    State,
    Status,
    alive,
    append_line,
    forget_work,
    is_put_here,
    now,
    put_here,
    request_cancel,
    write_spec,
    write_status,
)

GRACE_SECONDS = 20.0
_log = logging.getLogger("engine.runs.jobs")


class Submittable(Protocol):
    """What can be submitted: runs in the order of their execution, and what stands in their way."""

    @property
    def specs(self) -> tuple[RunSpec, ...]: ...

    @property
    def obstacle(self) -> EngineError | None: ...


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit did with one run of a plan."""

    record: RunRecord
    what: Literal["queued", "exists", "resumed"]


@changes("launch a run")
def submit(ws: Workspace, plan: Submittable, *, machine: Machine | None = None) -> list[Submitted]:
    """Queue the plan's runs and start what can start; return one entry a run, in the plan's order.

    A run that exists is returned as it stands, so that launching twice gives one run; a failed, cancelled or
    lost one is resumed from its last checkpoint, and one that was put into a queue elsewhere taken up.
    `machine` says where runs are executed, by default as the workspace's settings say. A torn spec.json is
    written again. Raises EngineError where runs cannot be executed so, or memory or disk are not there, and
    ChangedFiles where the data or the base is not what was taken in.
    """
    if plan.obstacle is not None:
        raise plan.obstacle
    integrity.refuse_changed(ws, base=True)
    machine = machine or read_machine(ws)
    launch = _told(ws, machine)
    with queue_lock(ws):
        present = {record.run_id: record for record in scan(ws)}
        new = [spec for spec in plan.specs if _is_queued_by_submit(present.get(spec.run_id))]
        _refuse_without_room(ws, new, machine.launcher, present.values())
        order = max((record.order for record in present.values()), default=0)
        did: dict[str, Literal["queued", "exists", "resumed"]] = {}
        for position, spec in enumerate(plan.specs, start=1):
            known = present.get(spec.run_id)
            if known is not None and known.spec is None and known.state != "succeeded":
                _refuse_links(ws, spec.run_id)
                write_spec(ws.run_folder(spec.run_id), spec)  # it was torn, and here is what it said
            if known is None:
                queued = Status(state="queued", order=order + position, queued_at=now())
                _create(ws, spec, replace(queued, launcher=machine.launcher, launch=launch))
                did[spec.run_id] = "queued"
            elif _is_queued_by_submit(known):
                _refuse_links(ws, spec.run_id)
                status = replace(known.status, launcher=machine.launcher, launch=launch)
                _requeue(ws, replace(known, status=status, spec=spec))
                did[spec.run_id] = "resumed"
            else:
                did[spec.run_id] = "exists"
        _advance(ws)
    return [Submitted(find(ws, run_id), what) for run_id, what in did.items()]


def advance(ws: Workspace, *, origin: str | None = None) -> None:
    """Record dead runs as what they are and start every queued run that can start. Safe at any time.

    A read-only workspace is left as it is. `origin` is what a supervisor was started from, whose environment
    what it loaded may have changed.
    """
    if declared_read_only(ws):  # a disk that takes nothing just now is an error, which a supervisor waits out
        return
    with queue_lock(ws):
        _advance(ws, origin)


def list_runs(ws: Workspace) -> list[RunRecord]:
    """Return all runs in queue order; side effect: heals a queue that nobody looks after.

    Starts only what this user put into the queue here; a queued run that came from elsewhere is shown as
    such, with what is wrong with it as its error. What cannot be healed now (a full disk) is warned of, and
    the runs are shown as they stand: looking never fails.
    """
    records = scan(ws)
    try:
        if not read_only(ws) and _needs_care(ws, records):
            advance(ws)
            records = scan(ws)
    except (EngineError, OSError) as error:
        _log.warning("The queue could not be moved: %s", error)
        records = scan(ws)
    return [replace(one, error=_fault(ws, one)) if one.elsewhere else one for one in records]


@changes("take up a queue")
def take_up(ws: Workspace, run_ids: Sequence[str] | None = None) -> list[RunRecord]:
    """Take up queued runs that came from elsewhere, by default all that can run: they start here from now on.

    Return them. Raises EngineError for a run that is none of those, or cannot run here.
    """
    with queue_lock(ws):
        there = {record.run_id: record for record in scan(ws) if record.elsewhere}
        for run_id in run_ids or ():
            if run_id not in there:
                raise EngineError(f"{run_id} does not wait to be taken up: it {_is(find(ws, run_id).state)}.")
        chosen = [there[run_id] for run_id in run_ids or there]
        if run_ids is None:
            chosen = [record for record in chosen if _fault(ws, record) is None]
        for record in chosen:
            _check(ws, record)
        _requeue_all(ws, chosen)
        _advance(ws)
    return [find(ws, record.run_id) for record in chosen]


@changes("cancel a run")
def cancel(ws: Workspace, run_id: str, *, grace_seconds: float = GRACE_SECONDS) -> RunRecord:
    """End a run: SIGTERM to its process group, SIGKILL after `grace_seconds`; return it once it is gone.

    A queued run leaves the queue. The record's `freed_bytes` is the memory that its processes held. Raises
    EngineError when the run has ended already or will not die.
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
    held = sum(map(group_memory_bytes, (record.status.worker, record.status.supervisor)))
    end_processes(folder, record.status, grace_seconds=grace_seconds)
    with queue_lock(ws):
        _advance(ws)
        ended = find(ws, run_id)
        if ended.state == "cancelled" and ended.status.attempt == record.status.attempt:
            write_status(folder, replace(ended.status, freed_bytes=held))
    return find(ws, run_id)


@changes("resume a run")
def resume(ws: Workspace, run_id: str) -> RunRecord:
    """Queue a failed, cancelled or lost run again, and the ended upstreams it waits for; it goes on from
    its last checkpoint. Raises EngineError with the reason when it cannot be resumed, also where the memory
    or disk that it takes is not there."""
    find(ws, run_id)
    with queue_lock(ws):
        record = find(ws, run_id)
        if record.state not in RESUMABLE and not record.blocked and not record.elsewhere:
            raise EngineError(f"{run_id} cannot be resumed: it {_is(record.state)}.")
        _requeue_all(ws, _to_resume(ws, record))
        _advance(ws)
    return find(ws, run_id)


@changes("start a run over")
def start_over(ws: Workspace, run_id: str) -> RunRecord:
    """Queue a failed, cancelled or lost run again, from its beginning: what it had done so far is deleted.

    Raises EngineError with the reason when it has not ended, has succeeded, or has no room; then all stays.
    """
    find(ws, run_id)
    with queue_lock(ws):
        record = find(ws, run_id)
        if record.state not in RESUMABLE:
            raise EngineError(f"{run_id} cannot start over: it {_is(record.state)}.")
        anew = replace(record.status, progress=0.0, stage="", done=0, total=0, unit="", seconds=0.0)
        again = [replace(one, status=anew) if one is record else one for one in _to_resume(ws, record)]
        _requeue_all(ws, again, first=lambda: forget_work(ws, run_id))
        _advance(ws)
    return find(ws, run_id)


@changes("change the queue")
def move(ws: Workspace, run_id: str, *, before: str | None = None, last: bool = False) -> list[RunRecord]:
    """Move a queued run to the front, right before another queued one, or to the end; return the queue.

    The queued runs that it needs move with it, and those that need it stay behind it. Raises EngineError when
    one of the runs is not queued, or `before` is needed by the run.
    """
    with queue_lock(ws):
        waiting = [record for record in scan(ws) if record.state == "queued"]
        for name in filter(None, (run_id, before)):
            if name not in {record.run_id for record in waiting}:
                raise EngineError(f"{name} is not in the queue: it {_is(find(ws, name).state)}.")
        after = moved(waiting, run_id, before=before, last=last)
        for record, order in zip(after, places(waiting), strict=True):
            if record.order != order:
                write_status(ws.run_folder(record.run_id), replace(record.status, order=order))
    return [record for record in scan(ws) if record.state == "queued"]


def wait(
    ws: Workspace,
    run_ids: Iterable[str],
    *,
    timeout_seconds: float | None = None,
    poll_seconds: float = 0.1,
    show: Callable[[Sequence[RunRecord]], None] | None = None,
) -> list[RunRecord]:
    """Wait until every one of the runs has ended or is blocked; return them in the order given.

    `show` is called with the records at every look. Looking takes a tenth of the time at most. Raises
    EngineError after `timeout_seconds`.
    """
    wanted = list(run_ids)
    until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    while True:
        began = time.monotonic()
        by_id = {record.run_id: record for record in list_runs(ws)}
        records = [by_id[run_id] if run_id in by_id else find(ws, run_id) for run_id in wanted]
        if show is not None:
            show(records)
        if all(record.ended or record.blocked for record in records):
            return records
        if until is not None and time.monotonic() >= until:
            raise EngineError("The runs have not ended in time.", "They go on: python -m engine status")
        time.sleep(max(poll_seconds, 9.0 * (time.monotonic() - began)))


def _advance(ws: Workspace, origin: str | None = None) -> None:
    records = scan(ws)
    for record in records:
        if _died(record):
            settle(ws, record.run_id)
    machine = read_machine(ws)
    left: dict[str, list[str]] = {}
    for record in _ready(scan(ws)):
        launcher = record.status.launcher
        free = left.setdefault(launcher, slots.free(machine, records, launcher))
        if free:
            _start(ws, record, free.pop(0), origin)


def _ready(records: Iterable[RunRecord]) -> list[RunRecord]:
    return [
        record
        for record in records
        if record.state == "queued" and record.spec and not record.waiting_for and not record.elsewhere
    ]


def _died(record: RunRecord) -> bool:
    return record.status.state == "running" and not alive(record.status)


def _needs_care(ws: Workspace, records: Sequence[RunRecord]) -> bool:
    if any(_died(record) for record in records):
        return True
    ready = _ready(records)
    machine = read_machine(ws) if ready else Machine()
    return any(slots.free(machine, records, launcher) for launcher in {one.status.launcher for one in ready})


def _start(ws: Workspace, record: RunRecord, device: str, origin: str | None) -> None:
    """Start a queued run. The supervisor waits for the queue lock, so it finds its own name in the status."""
    attempt = record.status.attempt + 1
    warm = standby.take(ws, record.run_id, attempt, origin) if device != slots.RAY else None
    who = warm or local.start(ws, record.run_id, attempt)
    begun = replace(
        record.status, state="running", attempt=attempt, supervisor=who, worker=None, heartbeat=None
    )
    begun = replace(begun, started_at=now(), device=device, ended_at=None, freed_bytes=None)
    begun = replace(begun, error=None, hint=None, exit_code=None, signal=None)
    write_status(ws.run_folder(record.run_id), begun)


def _create(ws: Workspace, spec: RunSpec, status: Status) -> None:
    folder = ws.run_folder(spec.run_id)
    _refuse_links(ws, spec.run_id)
    write_status(folder, put_here(ws, spec, status))
    write_spec(folder, spec)


def _requeue(ws: Workspace, record: RunRecord) -> None:
    """Queue a run again, with this user's consent that it starts here."""
    assert record.spec is not None
    folder = ws.run_folder(record.run_id)
    status = put_here(ws, record.spec, record.status)
    (folder / CANCEL).unlink(missing_ok=True)
    append_line(folder / "log.txt", f"{now()} queued again after: {record.state}")
    write_status(folder, replace(status, state="queued", queued_at=now(), error=None, hint=None))


def _check(ws: Workspace, record: RunRecord) -> None:
    """Raise EngineError where a run's spec is not one that the registry could have made, here."""
    if record.spec is None:
        raise EngineError(f"{record.run_id} cannot run here: {record.error}", "Launch the experiment again.")
    registry.check(ws, record.run_id, record.spec)


def _fault(ws: Workspace, record: RunRecord) -> str | None:
    try:
        _check(ws, record)
    except EngineError as error:
        return error.message
    return None


def _refuse_links(ws: Workspace, run_id: str) -> None:
    if link := first_link(ws.run_folder(run_id), ws.adapters(run_id), deep=True):
        raise EngineError(
            f"{run_id} cannot run here: {link} is a link, which no run makes.", f"Remove it: rm {link}"
        )


def _told(ws: Workspace, machine: Machine) -> dict[str, Any]:
    """What a launcher is told. Raises EngineError for a cluster that only a foreign file names."""
    refuse_foreign_cluster(ws, machine)
    return launchers.get(machine.launcher).told(machine)


def _started_here(ws: Workspace, record: RunRecord) -> RunRecord:
    """The record as it may be queued: not for a cluster that only its file names, but as set here."""
    assert record.spec is not None
    if is_put_here(ws, record.spec, record.status) or record.status.launcher == "local":
        return record
    machine = read_machine(ws)
    launch = _told(ws, machine)
    return replace(record, status=replace(record.status, launcher=machine.launcher, launch=launch))


def _to_resume(ws: Workspace, record: RunRecord) -> list[RunRecord]:
    """A run that is to go on behind the ended ones that it needs, each once. Raises EngineError."""
    _check(ws, record)
    needed = record.waiting_for or (record.spec.upstream.values() if record.spec else ())
    again = {one.run_id: one for name in needed for one in _to_resume(ws, find(ws, name))}
    if record.state in RESUMABLE or record.elsewhere:
        again[record.run_id] = record
    return list(again.values())


def _is_queued_by_submit(known: RunRecord | None) -> bool:
    return known is None or known.elsewhere or known.state in RESUMABLE


def _requeue_all(
    ws: Workspace, records: Sequence[RunRecord], *, first: Callable[[], object] = lambda: None
) -> None:
    """Queue runs again where there is room for them, after what is to be done `first`. Raises EngineError."""
    here = [_started_here(ws, record) for record in records]
    for launcher in {record.status.launcher for record in here}:
        specs = [one.spec for one in here if one.spec and one.status.launcher == launcher]
        _refuse_without_room(ws, specs, launcher, scan(ws))
    first()
    for record in here:
        _requeue(ws, record)


def _refuse_without_room(
    ws: Workspace, specs: Sequence[RunSpec], launcher: str, records: Iterable[RunRecord]
) -> None:
    """The gate before the queue: raise EngineError where these runs do not fit beside those that wait."""
    if not specs:
        return
    named = {spec.run_id for spec in specs}
    waiting = [
        one.spec
        for one in records
        if one.state == "queued" and one.spec and not one.elsewhere and one.run_id not in named
    ]
    room = registry.room(ws, specs)
    behind = registry.room(ws, waiting).disk_bytes
    refuse_without(ws, replace(room, disk_bytes=room.disk_bytes + behind), launcher)


def _is(state: State) -> str:
    return {"queued": "is queued", "running": "is running"}.get(state, f"has {_ended(state)}")


def _ended(state: State) -> str:
    return {"cancelled": "been cancelled", "lost": "been lost"}.get(state, state)
