"""Who a process is, and whether it still is. Owns process identity; starts nothing and records nothing.

A pid alone lies: it is reused, and it survives in a file over a reboot. A process is named by
(boot id, pid, start ticks), which the kernel never gives twice, and no clock enters: psutil's create_time,
which is reckoned from the clock's boot time, moves when the clock is set. A file that names a process names
also the folder it lies in, since it may be copied while the process lives: a copy's runs are nobody's.
"""

import functools
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import EngineError

_PROC = Path("/proc")
_DEAD_STATES = frozenset("ZXx")
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of one boot. `start_ticks` is field 22 of /proc/PID/stat, in clock ticks since boot."""

    boot_id: str
    pid: int
    start_ticks: int


@functools.cache
def boot_id() -> str:
    """Return the kernel's id of this boot. Raises EngineError where there is no /proc."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError as error:
        raise EngineError(
            "Background runs need Linux: there is no /proc on this machine.", "Use Linux, WSL or a container."
        ) from error


def identity(pid: int | None = None) -> ProcessIdentity | None:
    """Return the identity of `pid` (by default this process), or None when there is no such process."""
    stat = _stat(pid if pid is not None else os.getpid())
    if stat is None:
        return None
    number, _, ticks = stat
    return ProcessIdentity(boot_id=boot_id(), pid=number, start_ticks=ticks)


def place_of(folder: Path) -> str:
    """Return what tells a folder from its copies, and stays when it is moved; "" where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def is_copied(place: str, folder: Path) -> bool:
    """Say whether a file that lies in `folder` and names that `place` was written elsewhere."""
    return place not in ("", place_of(folder))


def running(process: ProcessIdentity | None) -> bool:
    """Say whether that very process still runs. A zombie, a reused pid and another boot are not it."""
    if process is None or process.boot_id != boot_id():
        return False
    stat = _stat(process.pid)
    return stat is not None and stat[2] == process.start_ticks and stat[1] not in _DEAD_STATES


def signal_group(process: ProcessIdentity | None, number: signal.Signals) -> bool:
    """Send a signal to the group that `process` leads; False when it is gone already."""
    if process is None or not running(process):
        return False
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def group_memory_bytes(process: ProcessIdentity | None) -> int:
    """Return the resident memory of that process and of all others in its session; 0 when it is gone."""
    if process is None or not running(process):
        return 0
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return sum(_resident_bytes(pid) for pid in pids if _session(pid) == process.pid)


def wait_until_gone(process: ProcessIdentity | None, *, timeout_seconds: float) -> bool:
    """Wait for that process to end; False when it still runs after `timeout_seconds`."""
    until = time.monotonic() + timeout_seconds
    while running(process):
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end_group(process: ProcessIdentity | None, *, grace_seconds: float) -> None:
    """End the group that `process` leads, by SIGTERM, after the grace by SIGKILL; return once it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not signal_group(process, number) or wait_until_gone(process, timeout_seconds=grace_seconds):
            return


def _resident_bytes(pid: int) -> int:
    """A process's resident memory; of pages shared with others its share, where the kernel tells that."""
    import psutil  # type: ignore[import-untyped]  # takes longer to load than all else here

    try:
        process = psutil.Process(pid)
        with suppress(psutil.AccessDenied):
            return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _stat(pid: int) -> tuple[int, str, int] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name stands in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return pid, fields[0], int(fields[19])
