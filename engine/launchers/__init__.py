"""Where runs are executed. A launcher starts a run and says who works on it; "local" is this machine."""

from __future__ import annotations

from typing import Protocol

from engine.errors import unknown_name
from engine.launchers import local
from engine.paths import Workspace
from engine.processes import ProcessIdentity


class Launcher(Protocol):
    """What jobs needs of a launcher."""

    def start(self, ws: Workspace, run_id: str, attempt: int) -> ProcessIdentity: ...


LAUNCHERS: dict[str, Launcher] = {"local": local}


def get(name: str) -> Launcher:
    """Return the launcher of that name. Raises EngineError with the nearest known name."""
    if name not in LAUNCHERS:
        raise unknown_name("launcher", name, LAUNCHERS)
    return LAUNCHERS[name]
