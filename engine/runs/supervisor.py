"""The parent of one worker: `python -m engine supervise ROOT RUN ATTEMPT`.

Owns the recording of how the worker ended, even by `kill -9`, and the starting of the next run. A worker on
this machine's processor is forked, with what its step needs already loaded; another fork, the supervisor's
heir, stands by for the next run, so that loading is paid once. Calls nothing of what it loads.
"""

import gc
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from engine.core.errors import EngineError
from engine.core.locks import queue_lock
from engine.core.paths import Workspace, WorkspaceGone, anchor
from engine.lm.remote.keys import names_for
from engine.runs import jobs, launchers, slots, standby, worker
from engine.runs.endings import settle
from engine.runs.launchers import local
from engine.runs.processes import identity, wait_until_gone
from engine.runs.registry import Registry
from engine.runs.runfolder import Status, read_spec, read_status, write_status

_PATIENCE_SECONDS = 3600.0
_PAUSE_SECONDS = 1.0
_WORTH_KEEPING_SECONDS = 1.0
Answer = TypeVar("Answer")


def main(root: str, run_id: str, attempt: str, *, registry: Registry) -> None:
    """Supervise the run. Where loading took its time, leave an heir, which stands by for the next one."""
    ws, origin = Workspace(Path(root)), standby.origin()
    anchor(ws.root)
    todo: tuple[str, int] | None = (run_id, int(attempt))
    worth_keeping = False
    while todo is not None:
        local.be_known_as(local.SUPERVISOR, ws, *todo)
        worth_keeping |= _load(ws, todo[0], registry)
        parent = os.getpid()
        if worth_keeping and local.divide():
            local.be_known_as(local.SUPERVISOR, ws)
            todo = _stand_by(ws, origin, parent)
        else:
            supervise(ws, *todo, origin, registry)
            todo = None


def supervise(ws: Workspace, run_id: str, attempt: int, origin: str, registry: Registry) -> None:
    """Start the worker, wait for its end, record it, and start what comes next in the queue.

    Of a run that has ended under a supervisor that was killed, only the last is left to do.
    """
    pid = patiently(lambda: _start_worker(ws, run_id, attempt, registry), f"{run_id} could not be started")
    if pid is None:
        status = read_status(ws.run_folder(run_id))
        if status.ended_at is None:
            return
        wait_until_gone(status.worker, timeout_seconds=_PATIENCE_SECONDS)  # it holds its slot till then
    else:
        exit_code = _wait_for_group(pid)
        patiently(
            lambda: _record(ws, run_id, attempt, exit_code), f"The end of {run_id} could not be recorded"
        )
    patiently(lambda: jobs.advance(ws, origin=origin), "The queue could not be moved")


def patiently(do: Callable[[], Answer], trouble: str) -> Answer:
    """Try for an hour while the disk is full or a lock is busy: nobody else may be looking.

    What stands in the way is told once, in the run's log. Raises the last error after the hour, and at once
    where the workspace was moved away.
    """
    until, told = time.monotonic() + _PATIENCE_SECONDS, ""
    while True:
        try:
            return do()
        except (OSError, EngineError) as error:
            if isinstance(error, WorkspaceGone) or time.monotonic() > until:
                raise
            if str(error) != told:
                with suppress(OSError):
                    print(f"{trouble}: {error}", flush=True)
                    told = str(error)
            time.sleep(_PAUSE_SECONDS)


def _load(ws: Workspace, run_id: str, registry: Registry) -> bool:
    """Load what a run's step needs, where a fork can use it; say whether that took long enough to be kept."""
    began = time.monotonic()
    with suppress(Exception):  # what cannot be loaded is told by the worker
        with queue_lock(ws):  # whoever started this process has then said on which device
            status = read_status(ws.run_folder(run_id))
        if _forks(status):
            registry.step(ws, read_spec(ws.run_folder(run_id)))
    gc.freeze()  # so that collecting garbage touches, and copies, no page of what is shared
    return time.monotonic() - began >= _WORTH_KEEPING_SECONDS


def _forks(status: Status) -> bool:
    """Say whether the run's worker is a fork: Ray and a GPU's driver that has begun want a new process."""
    return launchers.get(status.launcher).WORKER == local.WORKER and slots.can_be_forked(status.device)


def _stand_by(ws: Workspace, origin: str, parent: int) -> tuple[str, int] | None:
    """Stand by while `parent` lives and a while longer; return the run that this process is given, if any."""
    if not patiently(lambda: standby.offer(ws, origin), "No supervisor stands by"):
        return None
    return patiently(lambda: standby.wait(ws, parent), "The next run could not be taken")


def _record(ws: Workspace, run_id: str, attempt: int, exit_code: int) -> None:
    with queue_lock(ws):
        status = read_status(ws.run_folder(run_id))
        if status.attempt == attempt and status.state != "queued":  # not resumed meanwhile
            settle(ws, run_id, exit_code=exit_code)


def _start_worker(ws: Workspace, run_id: str, attempt: int, registry: Registry) -> int | None:
    """Start the worker, unless the run has meanwhile become somebody else's; return its pid."""
    with queue_lock(ws):
        status = _mine(ws, run_id, attempt)
        if status is None:
            return None
        keys, environment = _keys_for(ws, run_id, status), slots.environment(status.device)
        if not _forks(status):
            module = launchers.get(status.launcher).WORKER
            apart = local.spawn(module, ws, run_id, attempt, environment=environment, keys=keys)
            _name_worker(ws, run_id, status, apart.pid)
            return apart.pid
    child = local.fork(
        local.WORKER,
        partial(worker.main, registry=registry),
        ws,
        run_id,
        attempt,
        environment=environment,
        keys=keys,
        fit=partial(slots.answers, status.device),
    )
    try:
        with queue_lock(ws):
            status = _mine(ws, run_id, attempt)
            if status is not None:
                _name_worker(ws, run_id, status, child.pid)
                child.let_go()
    finally:
        child.close()
    return child.pid if status is not None else None


def _keys_for(ws: Workspace, run_id: str, status: Status) -> tuple[str, ...]:
    """Return the names of the keys that the run's worker gets: what it needs, of what this process holds."""
    try:
        spec = read_spec(ws.run_folder(run_id))
    except EngineError:
        return ()  # the worker will say what is wrong with it
    return names_for(spec.parameters, spec.base, status.launcher)


def _mine(ws: Workspace, run_id: str, attempt: int) -> Status | None:
    """Return the run's status where this process is its supervisor, else None."""
    status = read_status(ws.run_folder(run_id))
    mine = status.state == "running" and status.attempt == attempt and status.supervisor == identity()
    return status if mine else None


def _name_worker(ws: Workspace, run_id: str, status: Status, pid: int) -> None:
    with suppress(OSError):  # it names itself, too; a second one must not be started
        write_status(ws.run_folder(run_id), replace(status, worker=identity(pid)))


def _wait_for_group(pid: int) -> int:
    """Wait for the worker, then end what is left of its process group, before its pid can be reused."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
