"""Where the results lie: in the workspace; where that is only looked at, in a private folder of this process.

A workspace that is read-only gets no database, no lock and no stamp. What is needed to answer questions is
then built from its run folders in a temporary folder, beginning with a copy of its results.duckdb, and
deleted when the process ends. Opens no database.
"""

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import EngineError
from engine.core.machine import read_only
from engine.core.paths import Workspace

_LOCK, _STAMP = ".results.lock", ".results-stamp.json"
_PATIENCE_SECONDS = 10.0
_log = logging.getLogger("engine.results.store")
_private: "dict[tuple[int, Path], Place]" = {}
_making = threading.Lock()


@dataclass(frozen=True, slots=True)
class Place:
    """The database, the lock that it is opened under, and the stamp of what was taken in."""

    database: Path
    lock: Path
    stamp: Path


def place(ws: Workspace) -> Place:
    """Return where a workspace's results are kept for this process. Makes the private folder when needed."""
    if not _only_looked_at(ws):
        return _within(ws.root, ws.data)
    with _making:
        mine = os.getpid(), ws.root
        if mine not in _private:
            folder = Path(tempfile.mkdtemp(prefix="persona-lab-results-"))
            atexit.register(_delete, folder, os.getpid())
            _copy(_within(ws.root, ws.data), folder)
            _private[mine] = _within(folder, folder)
        return _private[mine]


def _only_looked_at(ws: Workspace) -> bool:
    try:
        return read_only(ws)
    except EngineError:
        return True  # its settings cannot be read, and may have said so; whoever changes something is told


def _delete(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of that process
        shutil.rmtree(folder, ignore_errors=True)


def _within(root: Path, data: Path) -> Place:
    return Place(root / "results.duckdb", data / _LOCK, data / _STAMP)


def _copy(there: Place, folder: Path) -> None:
    """Begin with what the workspace's own database holds; what it lacks is read from run folders."""
    try:
        with _nobody_writes(there.lock):
            for path in (there.database, there.database.with_suffix(".duckdb.wal")):
                if path.is_file() and not path.is_symlink():
                    shutil.copyfile(path, folder / path.name)
    except OSError as error:
        _log.debug("The database could not be copied: %s", error)
        for path in folder.glob("results.duckdb*"):
            path.unlink(missing_ok=True)


@contextmanager
def _nobody_writes(lock: Path) -> Iterator[None]:
    """Hold a lock file of the workspace that is there already, without writing to it; wait a while only."""
    try:
        handle = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        yield  # nobody has ever opened the database here
        return
    try:
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.05)
        yield
    finally:
        with suppress(OSError):
            os.close(handle)
