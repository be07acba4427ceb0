"""Starts a run on this machine. Owns how a detached process is made; knows nothing of the queue.

The process is a session of its own with its output in a file, so that closing the terminal, the app or
a pipe cannot reach it.
"""

import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from setproctitle import setproctitle

from engine.core import keyring, secrecy
from engine.core.errors import EngineError
from engine.core.machine import Machine
from engine.core.paths import REPOSITORY, Workspace
from engine.runs.processes import ProcessIdentity, identity

SUPERVISOR, WORKER = "engine supervise", "engine work"
_started: list[subprocess.Popen[bytes]] = []


def told(machine: Machine) -> dict[str, Any]:
    """Return what a run's status keeps of the settings: nothing, for this machine."""
    return {}


def start(ws: Workspace, run_id: str, attempt: int) -> ProcessIdentity:
    """Start the run's supervisor, detached; return who it is. Raises EngineError when it cannot start."""
    process = spawn(SUPERVISOR, ws, run_id, attempt, keys=keyring.held())
    who = identity(process.pid)
    if who is None:
        raise EngineError(
            f"The supervisor of {run_id} ended at once.", f"See: python -m engine logs {run_id}"
        )
    return who


def spawn(
    module: str,
    ws: Workspace,
    run_id: str,
    attempt: int,
    *,
    environment: Mapping[str, str] | None = None,
    keys: Collection[str] = (),
) -> subprocess.Popen[bytes]:
    """Start `python -m module ROOT RUN ATTEMPT` as the leader of its own session, output to log.txt.

    `environment` holds further variables, `keys` names the keys that it is handed. Raises EngineError when
    the system refuses.
    """
    words = [*module.split(), str(ws.root), run_id, str(attempt)]
    try:
        return detached(words, output=ws.run_folder(run_id) / "log.txt", environment=environment, keys=keys)
    except OSError as error:
        raise _refusal(run_id, error) from error


def detached(
    words: Sequence[str],
    *,
    output: Path,
    environment: Mapping[str, str] | None = None,
    keys: Collection[str] = (),
) -> subprocess.Popen[bytes]:
    """Start `python -m WORDS` as the leader of its own session, its output appended to a file.

    Its environment holds no secret; the keys of these names are handed to it (engine/core/keyring.py). Raises
    OSError when the system refuses.
    """
    with output.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=REPOSITORY,
            env={**inherited(), **(environment or {})},
        )
    assert process.stdin is not None
    keyring.hand_on(process.stdin, keys)
    _started[:] = [earlier for earlier in _started if earlier.poll() is None]  # leaves no zombies behind
    _started.append(process)
    return process


@dataclass(slots=True)
class Child:
    """A forked process that begins once it is let go; where its parent dies or closes it before, it ends."""

    pid: int
    gate: int
    gone: bool = False

    def let_go(self) -> None:
        """Let it begin."""
        with suppress(BrokenPipeError):  # killed already, as whoever waits for it will see
            os.write(self.gate, b"!")
        self.gone = True

    def close(self) -> None:
        """End it, and wait for its end, unless it was let go."""
        os.close(self.gate)
        if not self.gone:
            os.waitpid(self.pid, 0)


def fork(
    module: str,
    do: Callable[[str, str, str], int],
    ws: Workspace,
    run_id: str,
    attempt: int,
    *,
    environment: Mapping[str, str],
    keys: Collection[str] = (),
    fit: Callable[[], bool],
) -> Child:
    """Fork what is to do the same as `python -m module ROOT RUN ATTEMPT` and is `do`; it waits at its gate.

    It begins with all that this process has loaded, and of its keys with those of these names; where it is
    not `fit` to do so, it becomes that command. Raises EngineError when the system refuses.
    """
    entrance, gate = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(entrance)
        os.close(gate)
        raise _refusal(run_id, error) from error
    if not pid:
        os.close(gate)
        exit_code = 1
        try:
            if os.read(entrance, 1):
                os.close(entrance)
                os.setsid()
                be_known_as(module, ws, run_id, attempt)
                keyring.use(keys)
                os.environ.update(environment)
                if not fit():
                    _become([*module.split(), str(ws.root), run_id, str(attempt)], keys)
                exit_code = do(str(ws.root), run_id, str(attempt))
        except SystemExit as asked:
            exit_code = asked.code if isinstance(asked.code, int) else 1
        except BaseException:  # noqa: BLE001 - nothing of a child may come back into its parent's code
            traceback.print_exc()
        leave(exit_code)
    os.close(entrance)
    return Child(pid, gate)


def _become(words: Sequence[str], keys: Collection[str]) -> NoReturn:
    """Let `python -m WORDS` take the place of this process, handing it the keys of these names."""
    entrance, pipe = os.pipe()
    keyring.hand_on(os.fdopen(pipe, "wb"), keys)
    os.dup2(entrance, 0)
    os.chdir(REPOSITORY)
    os.execve(sys.executable, [sys.executable, "-m", *words], inherited())


def divide() -> bool:
    """Fork this process; True in the fork, a session of its own. False here, and where the system refuses."""
    try:
        is_fork = os.fork() == 0
    except OSError:
        return False
    if is_fork:
        os.setsid()
    return is_fork


def be_known_as(module: str, ws: Workspace, run_id: str = "", attempt: int = 0) -> None:
    """Take the name of `python -m module ROOT RUN ATTEMPT`, and write to that run's log as it does.

    Without a run the name says that there is none, and output goes where it went.
    """
    if not run_id:
        setproctitle(f"{sys.executable} -m {module} {ws.root} (stands by)")
        return
    setproctitle(f"{sys.executable} -m {module} {ws.root} {run_id} {attempt}")
    with suppress(OSError), (ws.run_folder(run_id) / "log.txt").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def leave(exit_code: int) -> NoReturn:
    """End this process at once. With model code loaded, the interpreter's own end takes a second."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)


def inherited() -> dict[str, str]:
    """Return the environment that a process started here gets; of one started so, that is its own.

    No secret is in it.
    """
    cores = str(len(os.sched_getaffinity(0)))
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    search = os.pathsep.join(dict.fromkeys(filter(None, (str(REPOSITORY), *before))))
    threads = {"OMP_NUM_THREADS": cores}
    log = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "TQDM_DISABLE": "1"}
    return {**threads, **log, **secrecy.environment(), "PYTHONPATH": search}


def _refusal(run_id: str, error: OSError) -> EngineError:
    return EngineError(f"{run_id} cannot be started: {error}.", "Check free memory and disk space.")
