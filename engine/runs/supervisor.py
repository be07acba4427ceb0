"""The parent of one worker: `python -m engine.runs.supervisor ROOT RUN ATTEMPT`.

Owns the recording of how the worker ended, even by `kill -9`, and the starting of the next run. Knows
nothing of what the worker does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from engine import launchers
from engine.errors import EngineError
from engine.launchers import local
from engine.locks import queue_lock
from engine.paths import Workspace
from engine.runs import jobs, slots
from engine.runs.endings import settle
from engine.runs.processes import identity, wait_until_gone
from engine.runs.runfolder import read_status, write_status

_PATIENCE_SECONDS = 3600.0
_PAUSE_SECONDS = 1.0
Answer = TypeVar("Answer")


def supervise(ws: Workspace, run_id: str, attempt: int) -> None:
    """Start the worker, wait for its end, record it, and start what comes next in the queue.

    Of a run that has ended under a supervisor that was killed, only the last is left to do.
    """
    worker = patiently(lambda: _start_worker(ws, run_id, attempt), f"{run_id} could not be started")
    if worker is None:
        status = read_status(ws.run_folder(run_id))
        if status.ended_at is not None:
            wait_until_gone(status.worker, timeout_seconds=_PATIENCE_SECONDS)  # it holds its slot till then
            patiently(lambda: jobs.advance(ws), "The queue could not be moved")
        return
    exit_code = _wait_for_group(worker)
    patiently(lambda: _record(ws, run_id, attempt, exit_code), f"The end of {run_id} could not be recorded")


def patiently(do: Callable[[], Answer], trouble: str) -> Answer:
    """Try for an hour while the disk is full or a lock is busy: nobody else may be looking.

    What stands in the way is told once, in the run's log. Raises the last error after the hour.
    """
    until, told = time.monotonic() + _PATIENCE_SECONDS, ""
    while True:
        try:
            return do()
        except (OSError, EngineError) as error:
            if time.monotonic() > until:
                raise
            if str(error) != told:
                with suppress(OSError):
                    print(f"{trouble}: {error}", flush=True)
                    told = str(error)
            time.sleep(_PAUSE_SECONDS)


def _record(ws: Workspace, run_id: str, attempt: int, exit_code: int) -> None:
    with queue_lock(ws):
        status = read_status(ws.run_folder(run_id))
        if status.attempt == attempt and status.state != "queued":  # not resumed meanwhile
            settle(ws, run_id, exit_code=exit_code)
    jobs.advance(ws)


def _start_worker(ws: Workspace, run_id: str, attempt: int) -> subprocess.Popen[bytes] | None:
    """Start the worker, unless the run has meanwhile become somebody else's."""
    folder = ws.run_folder(run_id)
    with queue_lock(ws):
        status = read_status(folder)
        mine = status.state == "running" and status.attempt == attempt and status.supervisor == identity()
        if not mine:
            return None
        module = launchers.get(status.launcher).WORKER
        worker = local.spawn(module, ws, run_id, attempt, environment=slots.environment(status.device))
        with suppress(OSError):  # it names itself, too; a second one must not be started
            write_status(folder, replace(status, worker=identity(worker.pid)))
    return worker


def _wait_for_group(worker: subprocess.Popen[bytes]) -> int:
    """Wait for the worker, then end what is left of its process group, before its pid can be reused."""
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    return worker.wait()


if __name__ == "__main__":
    supervise(Workspace(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3]))
