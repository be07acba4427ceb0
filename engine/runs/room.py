"""The memory and disk that a launch takes at least: said before it, and refused where they are not there.

Whatever puts a run into the queue goes through `refuse_without` (engine/runs/jobs.py). What a run takes is
reckoned where its spec is understood (engine/strategies/room.py).
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from engine.core.errors import EngineError
from engine.core.memory import available_bytes
from engine.core.paths import Workspace
from engine.core.wording import size

_DISK_RESERVE_BYTES = 50_000_000
"""What stays free: the queue, logs and the database go on."""


@dataclass(frozen=True, slots=True)
class Room:
    """What runs take at least: the memory of the largest, for they take turns, and the disk of all."""

    memory_bytes: int = 0
    disk_bytes: int = 0

    def __bool__(self) -> bool:
        return self.memory_bytes > 0

    def __str__(self) -> str:
        return f"{size(self.memory_bytes)} of memory and {size(self.disk_bytes)} of disk"


def beside(rooms: Iterable[Room]) -> Room:
    """Return what runs that take turns take together."""
    taken = list(rooms)
    return Room(max((one.memory_bytes for one in taken), default=0), sum(one.disk_bytes for one in taken))


def lacking(ws: Workspace, room: Room, launcher: str) -> EngineError | None:
    """Return what stands in the way of runs that take this much, None where there is room for them.

    Memory counts where runs are executed on this machine; what runs there holds its own already.
    """
    if not room:
        return None
    places = [one for one in (ws.root, ws.data, ws.models) if one.exists()]  # volumes of their own, maybe
    free, place = min((shutil.disk_usage(one).free, one) for one in places)
    if free < room.disk_bytes + _DISK_RESERVE_BYTES:
        return EngineError(
            f"It takes {size(room.disk_bytes)} of disk beside {size(_DISK_RESERVE_BYTES)} that stay free, "
            f"and {size(free)} are free at {place}.",
            "To see what can go: python -m engine clean",
        )
    if launcher != "local":
        return None
    available = available_bytes()
    if available < room.memory_bytes:
        return EngineError(
            f"It takes {size(room.memory_bytes)} of memory, and {size(available)} can be had here now.",
            "Wait for what runs beside it, choose a smaller base, or execute it elsewhere (docs/ray.md).",
        )
    return None


def refuse_without(ws: Workspace, room: Room, launcher: str) -> None:
    """Raise EngineError where there is no room for runs that take this much."""
    fault = lacking(ws, room, launcher)
    if fault is not None:
        raise fault
