"""Experiments: what they are, what they need and make, the plan of a launch, and the steps that runs do."""

from collections.abc import Sequence

from engine.core.paths import Workspace
from engine.runs.registry import checked_by, reckoned_by
from engine.runs.room import Room
from engine.runs.runfolder import RunSpec


def _check(ws: Workspace, run_id: str, spec: RunSpec) -> None:
    from engine.strategies.runnable import runnable

    runnable(ws, run_id, spec)


def _room(ws: Workspace, specs: Sequence[RunSpec]) -> Room:
    from engine.strategies.ground import read_ground
    from engine.strategies.room import room

    return room(specs, read_ground(ws)) if specs else Room()


checked_by(_check)
reckoned_by(_room)
