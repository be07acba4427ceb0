"""Runs that are queued as a user queues them, and waited for."""

from __future__ import annotations

from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import RunRecord, find
from engine.strategies.plan import plan
from tests.workspaces import eventually


def launch(ws: Workspace, name: str = "count", **parameters: object) -> str:
    """Queue a run and all it needs; return its id."""
    return jobs.submit(ws, plan(ws, name, parameters))[-1].record.run_id


def at_work(ws: Workspace, run_id: str) -> RunRecord:
    """Wait until the run's step has begun to count."""

    def counting() -> RunRecord | None:
        record = find(ws, run_id)
        return record if record.state == "running" and record.status.done else None

    found: RunRecord = eventually(counting)
    return found
