"""Leases on accelerators: one holder a device on this machine, whatever workspace it works for.

A lease is a lock file that the kernel frees when its holder dies, and beside it who the holder is, so that
it can be shown. Owns the folder of those files; decides nothing about what runs.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from engine.core.errors import EngineError
from engine.core.paths import read_if_whole, write_json
from engine.runs import slots
from engine.runs.processes import ProcessIdentity, identity, running

FOLDER = "PERSONA_LAB_LEASES"
_POLL_SECONDS = 0.5
_WANTED_SECONDS = 5.0
_SEEN = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a device: what for (a run's id, say), and which process."""

    what: str
    process: ProcessIdentity


def folder() -> Path:
    """The machine's folder of leases, this user's: $PERSONA_LAB_LEASES, else one in the temporary folder."""
    return Path(os.environ.get(FOLDER) or Path(tempfile.gettempdir()) / f"persona-lab-{os.getuid()}")


def holder(device: str) -> Holder | None:
    """Return who holds a device now; None when it is free."""
    found = read_if_whole(_record(device), Holder)
    return found if found is not None and running(found.process) else None


def wanted(device: str) -> bool:
    """Say whether somebody waits for a device just now; whoever could do without gives it up then."""
    try:
        return time.time() - _wish(device).stat().st_mtime < _WANTED_SECONDS
    except OSError:
        return False


@contextmanager
def lease(
    device: str, *, what: str, waiting: Callable[[Holder | None], None] | None = None
) -> Iterator[None]:
    """Hold a device for the block.

    While somebody else holds it, `waiting` is called every half second with the holder; what it raises ends
    the waiting. Without `waiting` a held device raises EngineError at once, naming the holder.
    """
    lock = _acquire(device, waiting)
    try:
        write_json(
            _record(device), {"what": what, "process": asdict(identity() or ProcessIdentity("", 0, 0))}
        )
        yield
    finally:
        _record(device).unlink(missing_ok=True)
        lock.release()


@contextmanager
def free_card(what: str) -> Iterator[Callable[[], bool]]:
    """Hold a GPU that is free for the block, and let this process see no other; enter it before torch loads.

    Gives what says that it is to be left. Without a free one this process sees none.
    """
    devices, before = slots.gpus(), os.environ.get(_SEEN)
    os.environ[_SEEN] = ""
    try:
        with ExitStack() as held:
            for device in devices:
                try:
                    held.enter_context(lease(device, what=what))
                except EngineError:
                    continue  # a run holds it, or another study's playground
                os.environ.update(slots.environment(device))
                yield partial(wanted, device)
                return
            yield lambda: False
    finally:
        os.environ.pop(_SEEN)
        os.environ.update({} if before is None else {_SEEN: before})


def _acquire(device: str, waiting: Callable[[Holder | None], None] | None) -> FileLock:
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(folder() / f"{_name(device)}.lock", thread_local=False, preserve_lock_file=True)
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            who = holder(device)
            if waiting is None:
                by = who.what if who else "another process"
                raise EngineError(f"{device} is held by {by}.", "Wait for its end, or cancel it.") from error
            waiting(who)
            _wish(device).touch()
            time.sleep(_POLL_SECONDS)
        else:
            _wish(device).unlink(missing_ok=True)
            return lock


def _record(device: str) -> Path:
    return folder() / f"{_name(device)}.json"


def _wish(device: str) -> Path:
    return folder() / f"{_name(device)}.wanted"


def _name(device: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in device)
