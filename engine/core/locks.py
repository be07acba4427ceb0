"""Inter-process locks. Owns how long one waits for a lock and what a user is then told."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from engine.core.errors import EngineError
from engine.core.paths import Workspace

_POLL_SECONDS = 0.01


@contextmanager
def locked(path: Path, *, what: str, timeout_seconds: float = 60.0) -> Iterator[None]:
    """Hold the lock file `path` for the block; the kernel frees it when the process dies.

    Not reentrant. Raises EngineError when another process keeps `what` busy for `timeout_seconds`,
    or when the folder cannot be written.
    """
    lock = _acquire(path, what=what, timeout_seconds=timeout_seconds)
    try:
        yield
    finally:
        lock.release()


def queue_lock(ws: Workspace) -> AbstractContextManager[None]:
    """Return the lock that every change of the queue, and every claim of a run, is made under."""
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


def _acquire(path: Path, *, what: str, timeout_seconds: float) -> FileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, thread_local=False, preserve_lock_file=True)
        lock.acquire(timeout=timeout_seconds, poll_interval=_POLL_SECONDS)
    except Timeout as error:
        raise EngineError(
            f"{what} is busy: another process holds {path.name}.",
            "Wait a moment and repeat. If it stays so, run: python -m engine doctor",
        ) from error
    except OSError as error:
        raise EngineError(
            f"{path.parent} cannot be written: {error.strerror or error}.",
            "Check that the folder exists, belongs to you and that the disk is not full.",
        ) from error
    return lock
