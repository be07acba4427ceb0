"""Runs done in the process of the test, one after another: the worker alone, without queue and supervisor."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from engine.core.paths import Workspace
from engine.runs import manifest
from engine.runs.context import Cancelled, RunContext
from engine.runs.runfolder import RunSpec, Status, read_status, write_spec, write_status
from engine.strategies.plan import plan
from engine.strategies.runnable import execute


def start(ws: Workspace, spec: RunSpec) -> None:
    """Do one run to its end, whatever that is."""
    status = Status(state="running", order=len(list(ws.runs.glob("*"))) + 1, attempt=1)
    write_status(ws.run_folder(spec.run_id), status)
    write_spec(ws.run_folder(spec.run_id), spec)
    execute(ws, spec.run_id, status)


def attempt(
    ws: Workspace,
    experiment: str,
    parameters: Mapping[str, Any],
    *,
    upstream: dict[str, str] | None = None,
    beside: bool = True,
) -> RunSpec:
    """Do the runs of a plan that are not done yet, those beside the target too unless told otherwise.

    Returns the spec asked for, however it ended; fails when one that it needs did not succeed.
    """
    planned = plan(ws, experiment, parameters, upstream=upstream)
    for run in planned.runs:
        if run.state != "succeeded" and (beside or run.purpose != "beside"):
            start(ws, run.spec)
            if run.run_id != planned.target.run_id:
                assert_succeeded(ws, run.run_id)
    return planned.target.spec


def do(
    ws: Workspace,
    experiment: str,
    parameters: Mapping[str, Any],
    *,
    upstream: dict[str, str] | None = None,
    beside: bool = True,
) -> RunSpec:
    """Do what `attempt` does and fail unless the target succeeded; return its spec."""
    spec = attempt(ws, experiment, parameters, upstream=upstream, beside=beside)
    assert_succeeded(ws, spec.run_id)
    return spec


def doing(settings: Mapping[str, Any], how: Callable[..., RunSpec] = do) -> Callable[..., RunSpec]:
    """Return `do`, or `attempt`, under evaluation settings; parameters, and `upstream`, go by keyword."""

    def done(ws: Workspace, experiment: str, **parameters: Any) -> RunSpec:
        upstream = parameters.pop("upstream", None)
        return how(ws, experiment, {**settings, **parameters}, upstream=upstream)

    return done


def do_stopping(ws: Workspace, spec: RunSpec, step: Callable[[RunContext], object]) -> int:
    """Do a finished run's step again from nothing, stopped at every chance; return how often it began."""
    folder = ws.run_folder(spec.run_id)
    for path in folder.iterdir():
        if path.is_file() and path.name != "spec.json":
            path.unlink()
    for number in itertools.count(1):
        context = RunContext(ws, spec, status=Status(state="running", attempt=number))
        context.request_stop()
        with suppress(Cancelled):
            step(context)
            break
    manifest.write(ws, spec.run_id)
    write_status(folder, Status(state="succeeded", order=99))
    return number


def assert_succeeded(ws: Workspace, run_id: str) -> None:
    """Fail with the run's own error when it did not succeed."""
    ended = read_status(ws.run_folder(run_id))
    assert ended.state == "succeeded", f"{run_id}: {ended.error}"
