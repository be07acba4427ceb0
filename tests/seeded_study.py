"""A study of `unified`, `hybrid` (built on it) and `per-persona`, whose scores are as high as told.

Runs are real ones, in folders, but for what trains: a score is 0.5, the run's `lift`, its unified's `lift`
and a small hash of example and run. Registered by `register`; no test waits for a model.
"""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.paths import Workspace
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec, read_spec
from engine.strategies import registry
from engine.strategies.plan import plan
from engine.strategies.spec import Experiment, Upstream
from tests.experiments_for_tests import COMMON, CountParameters
from tests.steps_for_tests import PERSONAS, _row
from tests.workspaces import leave


def _step(context: RunContext) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    spec = context.spec
    below = [read_spec(context.workspace.run_folder(run)) for run in spec.upstream.values()]
    lift = sum(_lift(one) for one in (spec, *below))
    protocol = context.protocol({**spec.protocol, "scorer": "a hash"})
    rows = [
        {
            **_row(spec.experiment, split, protocol, persona=persona, number=number, gain=lift),
            "embedding_similarity": 0.5 + lift + 0.001 * _wobble(spec.run_id, persona, number),
        }
        for split in spec.protocol["splits"]
        for persona in PERSONAS
        for number in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), context.folder / "scores.parquet")
    recipe = {"run": spec.run_id}
    context.variant(spec.experiment, recipe, family=spec.experiment, parameters_trained=10, train_seconds=1.0)


OF_SEEDS: dict[tuple[str, int], float] = {}
"""By experiment and seed: what a seed alone adds. Tests put their own here."""


def _lift(spec: RunSpec) -> float:
    return float(spec.parameters["lift"]) + OF_SEEDS.get((spec.experiment, spec.seed), 0.0)


def _wobble(*parts: object) -> float:
    import hashlib

    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:6], 16) / 0xFFFFFF


def _needs(_: CountParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="unified", experiment="unified"),)


_SAME = {**COMMON, "step": _step}
MADE = {
    "unified": Experiment(name="unified", makes="unified", **_SAME),
    "hybrid": Experiment(name="hybrid", makes="hybrid", needs=_needs, **_SAME),
    "per-persona": Experiment(name="per-persona", makes="per-persona", **_SAME),
}


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, entry in MADE.items():
        monkeypatch.setitem(registry.EXPERIMENTS, name, entry)


def run(
    ws: Workspace, experiment: str, *, lift: float = 0.0, seed: int = 0, on: str = "", **more: Any
) -> str:
    """Do one run, on the unified run `on` where it is given; return its id."""
    given = {"lift": lift, **more} if lift or more else more
    planned = plan(ws, experiment, given, seed=seed, upstream={"unified": on} if on else None)
    leave(ws, planned)
    return planned.target.run_id
