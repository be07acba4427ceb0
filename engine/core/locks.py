"""Inter-process locks. Owns how long one waits for a lock and what a user is then told."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from engine.core.errors import EngineError
from engine.core.paths import Workspace, WorkspaceGone, make_folder

_POLL_SECONDS = 0.01


@contextmanager
def locked(path: Path, *, what: str, timeout_seconds: float = 60.0) -> Iterator[None]:
    """Hold the lock file `path` for the block; the kernel frees it when the process dies.

    Not reentrant. Raises EngineError when another process keeps `what` busy for `timeout_seconds`,
    or when the folder cannot be written.
    """
    try:
        make_folder(path.parent)
        lock = FileLock(path, thread_local=False, preserve_lock_file=True)
        lock.acquire(timeout=timeout_seconds, poll_interval=_POLL_SECONDS)
    except Timeout as error:
        who = ", ".join(f"process {one}" for one in holders(path)) or "another process"
        raise EngineError(
            f"{what} is busy: {who} holds {path.name}.",
            "Wait a moment and repeat. If it stays so, run: python -m engine doctor",
        ) from error
    except OSError as error:
        raise EngineError(
            f"{path.parent} cannot be written: {error.strerror or error}.",
            "Check that the folder exists, belongs to you and that the disk is not full.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def queue_lock(ws: Workspace) -> AbstractContextManager[None]:
    """Return the lock that every change of the queue, and every claim of a run, is made under.

    Raises WorkspaceGone where the workspace is there no more.
    """
    if not ws.data.is_dir():
        raise WorkspaceGone(ws.root)
    return locked(ws.runs / ".queue.lock", what="The queue")


def is_held(path: Path) -> bool:
    """Say whether some process holds that lock now; False where there is no such file.

    Waits for nobody and writes nothing, so that it can be asked in a workspace that is only looked at.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def holders(path: Path) -> list[str]:
    """Return who holds that lock, as "PID (command line)"; none where nobody does or the kernel tells nobody.

    Of a process in another container the kernel does not tell the number.
    """
    try:
        found = path.stat()
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    rows = [line.split() for line in lines if "->" not in line]  # those with an arrow only wait
    pids = {row[4] for row in rows if len(row) > 5 and row[5] == place and row[4].isdigit()}
    return [f"{pid} ({_command(pid)})" for pid in sorted(pids) if pid != "0"]


def _command(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "gone meanwhile"
    halted = "; it is stopped" if state in "Tt" else ""
    return " ".join(word for word in words if word)[:200] + halted
