"""How runs end: the recording of an end that was seen, found or asked for, and the ending of processes.

Called by jobs and by the supervisors. Starts nothing.
"""

import signal
import time
from dataclasses import replace
from pathlib import Path

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.runs import manifest
from engine.runs.processes import ProcessIdentity, signal_group, wait_until_gone
from engine.runs.runfolder import (
    RESUMABLE,
    State,
    Status,
    alive,
    cancel_requested,
    now,
    read_log,
    read_status,
    write_status,
)

_KILL_SECONDS = 10.0
_MODULES = "Extension modules:"  # what Python lists last when it dies of a fault
_LOST_SIGNALS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})


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


def end_processes(folder: Path, status: Status, *, grace_seconds: float) -> None:
    """End the worker and then the supervisor of one attempt; a later attempt is left alone.

    SIGTERM first, so that a checkpoint can be written; SIGKILL after the grace. Raises EngineError when a
    process does not die even of that.
    """
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


def _unexplained(folder: Path, status: Status, exit_code: int | None) -> Status:
    """The end of a worker that left no word of its own."""
    if cancel_requested(folder, status.attempt):
        return replace(status, state="cancelled", error=None, hint=None)
    said = [line for line in read_log(folder, last_lines=8) if line.strip() and _MODULES not in line]
    tail = "\n".join(said[-5:])
    state: State = "failed"
    if exit_code is None:
        state, reason = "lost", "The process is gone and left no word."
    elif exit_code < 0:
        state = "lost" if -exit_code in _LOST_SIGNALS else "failed"
        why = ", as a machine does where its memory runs out" if -exit_code == signal.SIGKILL else ""
        reason = f"The process was ended by {status.signal}{why}."
    else:
        reason = f"The process ended with exit code {exit_code} and without a result."
    error = f"{reason}\nLast lines of the log:\n{tail}" if tail else reason
    hint = f"Resume it from its last checkpoint: python -m engine resume {folder.name}"
    return replace(status, state=state, error=error, hint=hint)


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
