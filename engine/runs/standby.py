"""A supervisor that stands by: what its last run had loaded serves the next one, which then starts at once.

Loading model code takes seconds, of every run. Owns the one file in which a supervisor offers itself and is
given a run; all changes of it are made under the queue lock. Starts no process.
"""

import math
import os
import sysconfig
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.core import keyring
from engine.core.locks import queue_lock
from engine.core.paths import REPOSITORY, Workspace, read_if_whole, write_json
from engine.runs.launchers import local
from engine.runs.processes import POLL_SECONDS, ProcessIdentity, identity, is_copied, place_of, running
from engine.runs.runfolder import fingerprint

SECONDS = "PERSONA_LAB_STANDBY_SECONDS"
_SECONDS = 300.0
_OF_A_SHELL = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES"})


@dataclass(frozen=True, slots=True)
class _Offer:
    """Who stands by, from which origin, for which folder, and the run that it has been given, "" without."""

    process: ProcessIdentity
    origin: str
    place: str = ""
    run_id: str = ""
    attempt: int = 0


def origin() -> str:
    """Return a fingerprint of what a new process starts from: environment, keys, this code, packages."""
    environment = {name: value for name, value in local.inherited().items() if name not in _OF_A_SHELL}
    code = sorted((str(path), path.stat().st_mtime_ns) for path in (REPOSITORY / "engine").rglob("*.py"))
    installed = Path(sysconfig.get_path("purelib")).stat().st_mtime_ns
    return fingerprint([environment, keyring.held(), code, installed], 64)


def _patience_seconds() -> float:
    """Return how long a supervisor stands by: $PERSONA_LAB_STANDBY_SECONDS, or five minutes."""
    try:
        return float(os.environ.get(SECONDS, _SECONDS))
    except ValueError:
        return _SECONDS


def who(ws: Workspace) -> ProcessIdentity | None:
    """Return who stands by in a workspace, if anybody does."""
    offer = _offered(ws)
    return offer.process if offer is not None and not offer.run_id else None


def take(ws: Workspace, run_id: str, attempt: int, asked_from: str | None = None) -> ProcessIdentity | None:
    """Give the run to who stands by, and return who that is; None where nobody does, or from another origin.

    `asked_from` is the caller's origin, by default what it is now. Call it under the queue lock, and only for
    a run that this machine executes.
    """
    offer = _offered(ws)
    if offer is None or offer.run_id:
        return None
    if offer.origin != (asked_from or origin()):
        return None
    write_json(_path(ws), asdict(replace(offer, run_id=run_id, attempt=attempt)))
    return offer.process


def offer(ws: Workspace, started_from: str) -> bool:
    """Offer this process, of that origin, for the next run; False where another one stands by already."""
    me = identity()
    assert me is not None
    with queue_lock(ws):
        if _offered(ws) is not None:
            return False
        write_json(_path(ws), asdict(_Offer(me, started_from, place_of(ws.runs))))
    return True


def wait(ws: Workspace, parent: int) -> tuple[str, int] | None:
    """Stand by until this process is given a run; return it and its attempt, or None after its patience.

    Patience begins with the end of `parent`, this process's, whose run is still at work. Returns None also
    where the offer is no longer there, as when the workspace has been deleted.
    """
    patience, until = _patience_seconds(), math.inf
    while (offer := _mine(ws)) and not offer.run_id and time.monotonic() < until:
        if until == math.inf and os.getppid() != parent:
            until = time.monotonic() + patience
        time.sleep(POLL_SECONDS)
    if offer is None:
        return None
    with queue_lock(ws):
        offer = _mine(ws)
        if offer is None:
            return None
        _path(ws).unlink()
    return (offer.run_id, offer.attempt) if offer.run_id else None


def _offered(ws: Workspace) -> _Offer | None:
    """Return the offer of a process that lives, and looks into this workspace, not one that this copies."""
    offer = read_if_whole(_path(ws), _Offer)
    if offer is None or not running(offer.process) or is_copied(offer.place, ws.runs):
        return None
    return offer


def _mine(ws: Workspace) -> _Offer | None:
    offer = read_if_whole(_path(ws), _Offer)
    return offer if offer is not None and offer.process == identity() else None


def _path(ws: Workspace) -> Path:
    return ws.runs / ".standby.json"
