"""Starts a run on this machine. Owns how a detached process is started; knows nothing of the queue.

The process is a session of its own with its output in a file, so that closing the terminal, the app or
a pipe cannot reach it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.machine import Machine
from engine.paths import REPOSITORY, Workspace
from engine.runs.processes import ProcessIdentity, identity

WORKER = "engine.runs.worker"
_started: list[subprocess.Popen[bytes]] = []


def told(machine: Machine) -> dict[str, Any]:
    """Return what a run's status keeps of the settings: nothing, for this machine."""
    return {}


def start(ws: Workspace, run_id: str, attempt: int) -> ProcessIdentity:
    """Start the run's supervisor, detached; return who it is. Raises EngineError when it cannot start."""
    process = spawn("engine.runs.supervisor", ws, run_id, attempt)
    _started[:] = [earlier for earlier in _started if earlier.poll() is None]  # leaves no zombies behind
    _started.append(process)
    who = identity(process.pid)
    if who is None:
        raise EngineError(
            f"The supervisor of {run_id} ended at once.", f"See: python -m engine logs {run_id}"
        )
    return who


def spawn(
    module: str, ws: Workspace, run_id: str, attempt: int, *, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `python -m module ROOT RUN ATTEMPT` as the leader of its own session, output to log.txt.

    `environment` holds further variables. Raises EngineError when the system refuses.
    """
    words = [module, str(ws.root), run_id, str(attempt)]
    try:
        return detached(words, output=ws.run_folder(run_id) / "log.txt", environment=environment)
    except OSError as error:
        raise EngineError(
            f"{run_id} cannot be started: {error}.", "Check free memory and disk space."
        ) from error


def detached(
    words: Sequence[str], *, output: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `python -m WORDS` as the leader of its own session, its output appended to a file.

    Raises OSError when the system refuses.
    """
    with output.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=REPOSITORY,
            env={**_environment(), **(environment or {})},
        )


def _environment() -> dict[str, str]:
    cores = str(len(os.sched_getaffinity(0)))
    search = os.pathsep.join(filter(None, (str(Path(REPOSITORY)), os.environ.get("PYTHONPATH"))))
    threads = {"OMP_NUM_THREADS": cores}
    log = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "TQDM_DISABLE": "1"}
    return {**threads, **log, **os.environ, "PYTHONPATH": search}
