"""Where runs are executed: "local" is this machine, "ray" a cluster.

Every run has a supervisor on this machine; a launcher names the worker it starts and what that is told.
"""

from typing import Any, Protocol

from engine.core.errors import unknown_name
from engine.core.machine import Machine
from engine.runs.launchers import local, ray


class Launcher(Protocol):
    """What jobs and supervisors need of a launcher: a module, or anything that has these two.

    `WORKER` is the module that the supervisor starts as `python -m WORKER ROOT RUN ATTEMPT`. `told` returns
    what a run's status keeps of the settings; it raises EngineError where the launcher cannot work.
    """

    WORKER: str

    def told(self, machine: Machine) -> dict[str, Any]: ...


LAUNCHERS: dict[str, Launcher] = {"local": local, "ray": ray}


def get(name: str) -> Launcher:
    """Return the launcher of that name. Raises EngineError with the nearest known name."""
    if name not in LAUNCHERS:
        raise unknown_name("launcher", name, LAUNCHERS)
    return LAUNCHERS[name]
