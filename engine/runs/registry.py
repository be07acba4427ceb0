"""What the processes of a run must be told of experiments: to a run they are names.

Owns the form only. Strategies come after runs and know them; engine/__main__.py, where each process begins,
hands in what they say (engine/strategies/runnable.py).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from engine.core.paths import Workspace
from engine.runs.room import Room
from engine.runs.runfolder import RunSpec

if TYPE_CHECKING:  # whatever begins with it is to begin at once
    from engine.runs.context import RunContext

Step = Callable[["RunContext"], None]
Divisible = Literal["training", "replies"]
"""What of a run's work can be divided over the nodes of a cluster."""


class Registry(Protocol):
    """What a run's experiment means; all by its name, never by what a file says."""

    def step(self, ws: Workspace, spec: RunSpec) -> Step:
        """Return the function that does the run. Raises EngineError for a spec that is not sound."""

    def divisible(self, ws: Workspace, spec: RunSpec) -> frozenset[Divisible]:
        """Return what of the run's work can be divided. Raises EngineError for a spec that is not sound."""

    def learn(self, ws: Workspace, run_id: str) -> None:
        """Keep what a run that has just succeeded tells about the costs of the next ones."""


Check = Callable[[Workspace, str, RunSpec], object]
_checks: list[Check] = []
Reckoner = Callable[[Workspace, Sequence[RunSpec]], Room]
_reckoners: list[Reckoner] = []


def checked_by(check: Check) -> None:
    """Let specs be looked at before a run is queued, so that an unsound one is refused at once and in words.

    Strategies do so when they are loaded. Where they are not, the worker's own look is the first.
    """
    _checks[:] = [check]


def check(ws: Workspace, run_id: str, spec: RunSpec) -> None:
    """Raise EngineError for a spec that no experiment could have made here."""
    for sound in _checks:
        sound(ws, run_id, spec)


def reckoned_by(reckon: Reckoner) -> None:
    """Let what runs take be reckoned before they are queued; strategies do so when they are loaded."""
    _reckoners[:] = [reckon]


def room(ws: Workspace, specs: Sequence[RunSpec]) -> Room:
    """Return the memory and disk that these runs take at least; nothing where nobody can reckon it."""
    return next((reckon(ws, specs) for reckon in _reckoners), Room())
