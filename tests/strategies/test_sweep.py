"""Sweeps: what they plan, which have a name, and what is refused."""

from __future__ import annotations

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.runs.runfolder import Status, put_here, write_spec
from engine.strategies import registry
from engine.strategies.ground import read_ground
from engine.strategies.plan import plan
from engine.strategies.spec import EvaluationSettings, validate
from engine.strategies.sweep import SWEEPS, Sweep, plan_sweep, sweep_of
from tests.workspaces import leave


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=lambda sweep: sweep.name)
def test_every_declared_sweep_is_sound(sweep: Sweep) -> None:
    assert sweep.name not in registry.EXPERIMENTS
    assert sweep.question.endswith("?")
    assert sweep.source
    assert len(set(sweep.values)) == len(sweep.values) > 1
    cells = sweep.cells(registry.EXPERIMENTS)
    for experiment in sweep.experiments:
        assert sweep.parameter not in EvaluationSettings.model_fields
        values = [value for name, value in cells if name == experiment]
        assert len(values) > 1
        told = sweep.given.get(experiment, {})
        made = [validate(registry.get(experiment), {**told, sweep.parameter: value}) for value in values]
        assert len({one.parameters.model_dump_json() for one in made}) == len(values)


def test_the_ablation_of_the_study_is_a_sweep_of_constrained(ws: Workspace) -> None:
    plans = plan_sweep(ws, sweep_of(ws, "constrained-lambda"))
    assert [one.target.spec.parameters["l2"] for one in plans] == [0.01, 0.05, 0.1, 0.5]
    assert {one.experiment for one in plans} == {"constrained"}
    others = {
        frozenset((key, str(value)) for key, value in one.target.spec.parameters.items()) for one in plans
    }
    assert len(frozenset.intersection(*others)) == len(plans[0].target.spec.parameters) - 1


def test_plans_share_what_they_all_need_and_a_value_run_before_is_there(ws: Workspace) -> None:
    sweep = sweep_of(ws, "gain", "ticks", [1, 2, 3])
    plans = plan_sweep(ws, sweep, {"lift": 0.1}, seed=4)
    beside = {run.run_id for one in plans for run in one.runs if run.purpose == "beside"}
    assert len(beside) == 1
    assert {one.target.spec.seed for one in plans} == {4}
    assert {one.target.spec.parameters["lift"] for one in plans} == {0.1}
    leave(ws, plans[1])
    again = plan_sweep(ws, sweep, {"lift": 0.1}, seed=4)
    assert [one.target.state for one in again] == [None, "succeeded", None]


@pytest.mark.parametrize(
    ("name", "parameter", "values", "message"),
    [
        ("gian", "ticks", [1, 2], "no experiment or sweep named 'gian'"),
        ("gain", None, [], "Which parameter"),
        ("gain", "tick", [1, 2], "no parameter of gain named 'tick'"),
        ("gain", "ticks", [1, 1], "needs two values"),
        ("gain", "max_new_tokens", [8, 16], "belongs to the protocol"),
        ("constrained-lambda", "l2", [0.1, 0.2], "has its values already"),
    ],
)
def test_what_cannot_be_swept_is_refused(
    ws: Workspace, name: str, parameter: str | None, values: list[int], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        sweep_of(ws, name, parameter, values)


def test_what_is_swept_cannot_be_set_as_well(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="cannot be set as well"):
        plan_sweep(ws, sweep_of(ws, "gain", "ticks", [1, 2]), {"ticks": 3})


def test_a_sweep_about_newcomers_stands_on_a_unified_that_knows_a_part(ws: Workspace) -> None:
    """And on that one alone: the usual unified, which is there, is not it."""
    there = plan(ws, "unified").target.spec
    put_here(ws, there, Status(state="succeeded", order=1))
    write_spec(ws.run_folder(there.run_id), there)
    usual = plan(ws, "hybrid").target.spec.upstream["unified"]
    plans = plan_sweep(ws, sweep_of(ws, "cold-start"))
    below = {one.target.spec.upstream.get("unified") or one.target.spec.upstream["over"] for one in plans}
    (run_id,) = below
    assert usual == there.run_id != run_id
    unified = next(run.spec for one in plans for run in one.runs if run.run_id == run_id)
    assert unified.parameters["personas"] == max(1, round(read_ground(ws).personas / 2))
    zero = [one.experiment for one in plans if one.target.spec.parameters["history"] == 0]
    told = ["projected-profile", "hypernetwork-trained", "retrieval", "context-steering"]
    assert zero == told  # the others train on her own dialogues, and there are none
