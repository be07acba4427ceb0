"""Experiments: what they are, what they need and make, the plan of a launch, and the steps that runs do."""

from __future__ import annotations

from engine.core.paths import Workspace
from engine.runs.registry import checked_by
from engine.runs.runfolder import RunSpec


def _check(ws: Workspace, run_id: str, spec: RunSpec) -> None:
    from engine.strategies.runnable import runnable

    runnable(ws, run_id, spec)


checked_by(_check)
