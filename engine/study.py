"""Where a study stands and what to run next. Owns the order of first steps; launches nothing.

A fixed order of the catalog's experiments: the step that answers the largest open question first.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import EngineError
from engine.experiments import catalog
from engine.experiments.ground import read_ground
from engine.experiments.plan import Plan, inapplicable, plan
from engine.experiments.spec import Experiment
from engine.paths import Workspace
from engine.runfolder import RESUMABLE, State

FIRST_STEPS = ("unified", "retrieval", "profile-prompt", "ceiling")


@dataclass(frozen=True, slots=True)
class Step:
    """One experiment with default parameters: what it would run, and how the run it asks for stands.

    `state` is None when it was never launched; `reason` says why it cannot exist in this workspace.
    """

    experiment: Experiment
    plan: Plan | None
    state: State | None
    reason: str | None

    @property
    def open(self) -> bool:
        """Say whether it can be launched, or launched again."""
        return self.reason is None and (self.state is None or self.state in RESUMABLE)


def steps(ws: Workspace) -> list[Step]:
    """Return the first steps in their order. Raises EngineError without data or without the base model."""
    read_ground(ws)
    return [_step(ws, name) for name in FIRST_STEPS if name in catalog.EXPERIMENTS]


def next_step(found: list[Step]) -> Step | None:
    """Return the first step still open, None when all are done, under way or not applicable."""
    return next((step for step in found if step.open), None)


def command(experiment: str, changed: dict[str, str], ws: Workspace, *, is_default: bool) -> str:
    """Return the command line that does the same; `changed` maps parameters to their spelling."""
    words = [
        "python -m engine run",
        experiment,
        *(f"--set {name}={value}" for name, value in changed.items()),
    ]
    return " ".join(words if is_default else [*words, f"--workspace {ws.root}"])


def _step(ws: Workspace, name: str) -> Step:
    experiment = catalog.get(name)
    reason = inapplicable(ws, name)
    if reason is not None:
        return Step(experiment, None, None, reason)
    try:
        planned = plan(ws, name)
    except EngineError as error:
        return Step(experiment, None, None, error.message)
    return Step(experiment, planned, planned.target.state, None)
