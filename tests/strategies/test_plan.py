"""What a launch asks for: upstreams, runs to compare with, and what is refused before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.runs.runfolder import Status, put_here, read_status, write_spec, write_status
from engine.strategies.ground import read_ground
from engine.strategies.plan import Plan, PlannedRun, inapplicable, plan
from tests.workspaces import finish, leave, make_workspace


def shape(planned: Plan) -> list[tuple[str, str]]:
    return [(run.spec.experiment, run.purpose) for run in planned.runs]


def queue(ws: Workspace, planned: Plan, state: str = "queued") -> None:
    for run in planned.runs:
        status = put_here(ws, run.spec, Status(state=state, order=1))  # type: ignore[arg-type]
        write_status(ws.run_folder(run.run_id), status)
        write_spec(ws.run_folder(run.run_id), run.spec)


def test_an_empty_workspace_gets_what_is_needed_and_what_is_compared_with(ws: Workspace) -> None:
    planned = plan(ws, "retrieval")
    assert shape(planned) == [("unified", "upstream"), ("base", "beside"), ("retrieval", "asked")]
    unified, _, retrieval = planned.specs
    assert retrieval.upstream == {"over": unified.run_id}
    assert retrieval.parameters["over"] == "unified"
    assert retrieval.parameters["k"] == [0, 1, 3, 5]
    assert unified.parameters["target_modules"] == ["q_proj", "v_proj"]
    assert retrieval.protocol["splits"] == ["val", "test"]
    assert planned.estimate_seconds is None
    assert shape(plan(ws, "retrieval", {"over": "base"}))[0] == ("base", "upstream")


def test_the_same_wish_gives_the_same_runs(ws: Workspace) -> None:
    first, second = plan(ws, "unified"), plan(ws, "unified", {"rank": 8})
    assert [run.run_id for run in first.runs] == [run.run_id for run in second.runs]
    assert plan(ws, "unified", {"rank": 4}).target.run_id != first.target.run_id
    assert plan(ws, "unified", seed=1).target.run_id != first.target.run_id
    assert plan(ws, "unified", {"max_new_tokens": 32}).target.run_id != first.target.run_id


def test_what_was_changed_is_recorded_with_what_the_upstream_changed(ws: Workspace) -> None:
    finish(ws, "gain", {"lift": 0.1, "ticks": 2})
    planned = plan(ws, "after", {"ticks": 5, "examples_per_persona": 4}, seed=9)
    assert planned.target.spec.changed == ("ticks", "examples_per_persona", "seed", "over.ticks", "over.lift")
    beside = plan(ws, "gain", {"examples_per_persona": 4}).runs[0]
    assert (beside.purpose, beside.spec.changed) == ("beside", ("examples_per_persona",))


def test_the_newest_succeeded_upstream_is_taken_before_one_under_way(ws: Workspace) -> None:
    assert shape(plan(ws, "after")) == [("gain", "upstream"), ("after", "asked")]
    queue(ws, plan(ws, "gain", {"ticks": 9}))
    under_way = plan(ws, "after")
    assert shape(under_way) == [("after", "asked")]
    assert under_way.target.spec.upstream == {"over": plan(ws, "gain", {"ticks": 9}).target.run_id}
    finish(ws, "gain", {"ticks": 2})
    newest = finish(ws, "gain", {"ticks": 4})
    assert plan(ws, "after").target.spec.upstream == {"over": newest}


def test_an_upstream_can_be_named(ws: Workspace) -> None:
    older = finish(ws, "gain")
    finish(ws, "gain", {"ticks": 4})
    assert plan(ws, "after", upstream={"over": older}).target.spec.upstream == {"over": older}
    count = plan(ws, "count").target.run_id
    for role, run_id, message in (
        ("over", "gain-00000000", "no run named"),
        ("over", count, "is a run of count"),
        ("under", older, "no upstream role named"),
    ):
        with pytest.raises(EngineError, match=message):
            plan(ws, "after", upstream={role: run_id})
    failed = plan(ws, "gain", {"ticks": 7})
    queue(ws, failed, state="failed")
    with pytest.raises(EngineError, match="is failed") as caught:
        plan(ws, "after", upstream={"over": failed.target.run_id})
    assert "resume" in caught.value.hint


def test_failed_runs_are_planned_again_under_their_id(ws: Workspace) -> None:
    first = plan(ws, "after")
    queue(ws, first, state="lost")
    again = plan(ws, "after")
    assert [(run.run_id, run.state) for run in again.runs] == [(run.run_id, "lost") for run in first.runs]


def test_a_run_to_compare_with_must_have_the_same_protocol(ws: Workspace) -> None:
    finish(ws, "count")
    assert shape(plan(ws, "gain")) == [("gain", "asked")]
    assert shape(plan(ws, "gain", {"max_new_tokens": 8})) == [("count", "beside"), ("gain", "asked")]


def test_another_ground_has_other_runs(ws: Workspace) -> None:
    finish(ws, "gain")
    before = plan(ws, "gain").target.run_id
    splits = read_json(ws.splits / "splits.json")
    splits["assignment"] = {**splits["assignment"], "p00/0001": "test"}
    write_json(ws.splits / "splits.json", splits)
    assert plan(ws, "gain").target.run_id != before
    assert shape(plan(ws, "after")) == [("gain", "upstream"), ("after", "asked")]
    with pytest.raises(EngineError, match="another split"):
        plan(ws, "after", upstream={"over": before})


def test_a_rebuilt_base_is_another_base(ws: Workspace) -> None:
    finish(ws, "gain")
    before = plan(ws, "after").target.spec
    (Path(read_ground(ws).base) / "model.safetensors").write_bytes(b"weights")
    again = plan(ws, "after")
    assert shape(again) == [("gain", "upstream"), ("after", "asked")]
    assert "made over other weights" in again.notes[0]
    with pytest.raises(EngineError, match="another base model"):
        plan(ws, "after", upstream=before.upstream)


@pytest.mark.parametrize("splits", [["test", "val"], ["val", "test", "val"], ["val", "test"]])
def test_a_set_asked_for_in_another_order_is_the_same_run(ws: Workspace, splits: list[str]) -> None:
    usual = plan(ws, "gain").target
    assert plan(ws, "gain", {"splits": splits}).target.run_id == usual.run_id


def test_a_run_made_before_a_parameter_was_there_is_found_again(ws: Workspace) -> None:
    """Whoever adds a parameter gives it the default that changes nothing."""
    today = plan(ws, "retrieval", {"over": "base"}).target.spec
    before = replace(
        today, parameters={name: value for name, value in today.parameters.items() if name != "history"}
    )
    assert before.run_id != today.run_id
    put_here(ws, before, Status(state="succeeded", order=1))
    write_spec(ws.run_folder(before.run_id), before)
    assert plan(ws, "retrieval", {"over": "base"}).target.run_id == before.run_id
    assert plan(ws, "retrieval", {"over": "base", "history": 2}).target.run_id != before.run_id


def test_a_run_made_before_sets_had_an_order_is_found_again(ws: Workspace) -> None:
    made = plan(ws, "gain", {"splits": ["val", "test"]}).target.spec
    older = replace(made, protocol={**made.protocol, "splits": ["test", "val"]})
    assert older.run_id != made.run_id
    leave(ws, Plan("gain", (PlannedRun(older, "asked", None),)))
    again = plan(ws, "gain")
    assert (again.target.run_id, again.target.state) == (older.run_id, "succeeded")
    assert plan(ws, "after").specs[-1].upstream == {"over": older.run_id}


def test_what_cannot_exist_is_refused_with_the_reason(tmp_path: Path) -> None:
    by_persona = make_workspace(tmp_path / "a", scheme="by-persona", character=None)
    assert inapplicable(by_persona, "unified") is None
    reasons = {"retrieval": "no history", "profile-prompt": "character text", "ceiling": "synthetic"}
    for name, reason in reasons.items():
        with pytest.raises(EngineError, match=reason):
            plan(by_persona, name)
        assert reason in (inapplicable(by_persona, name) or "")
    world = make_workspace(tmp_path / "b", truth=True)
    assert [inapplicable(world, name) for name in ("retrieval", "profile-prompt", "ceiling")] == [None] * 3


def test_estimates_come_from_past_runs(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert plan(ws, "count").target.spec.estimate_seconds is None
    for ticks, seconds in ((1, 10.0), (2, 30.0), (4, 20.0)):
        folder = ws.run_folder(finish(ws, "count", {"ticks": ticks}))
        spent = {"load": 1.0, "count": seconds - 1.0}
        write_status(folder, replace(read_status(folder), seconds=seconds, stage_seconds=spent))
    assert plan(ws, "count", {"ticks": 5}).estimate_seconds == 20.0


def test_an_uninitialised_or_broken_workspace_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not a workspace"):
        plan(Workspace(tmp_path), "base")
    ws = make_workspace(tmp_path)
    (ws.dataset / "card.json").unlink()
    with pytest.raises(EngineError, match="incomplete"):
        plan(ws, "base")


def test_a_default_upstream_is_taken_before_a_newer_one_with_other_parameters(ws: Workspace) -> None:
    finish(ws, "gain", {"ticks": 9})
    odd = plan(ws, "after")
    assert shape(odd) == [("after", "asked")]
    (note,) = odd.notes
    assert "over: there is no run of gain with default parameters" in note
    assert "ticks=9" in note
    finish(ws, "gain", {"ticks": 8}, seed=3)  # newer, and farther from the defaults
    assert plan(ws, "after").target.spec.upstream == odd.target.spec.upstream
    usual = finish(ws, "gain", {"examples_per_persona": 4})  # scored otherwise, made the same
    finish(ws, "gain", {"ticks": 2})
    finish(ws, "gain", seed=3)
    planned = plan(ws, "after")
    assert (planned.target.spec.upstream, planned.notes) == ({"over": usual}, ())


def test_a_run_that_leaves_personas_out_is_never_an_upstream_unasked(ws: Workspace) -> None:
    queue(ws, plan(ws, "unified", {"personas": 2}))
    pilot = plan(ws, "hybrid")
    assert ("unified", "upstream") in shape(pilot)
    assert pilot.target.spec.upstream["unified"] == plan(ws, "unified").target.run_id
    named = plan(ws, "hybrid", upstream={"unified": plan(ws, "unified", {"personas": 2}).target.run_id})
    assert named.target.spec.changed == ("unified.personas",)


def test_what_an_experiment_asks_of_its_upstream_is_no_change(ws: Workspace) -> None:
    planned = plan(ws, "online")
    earlier = next(run for run in planned.runs if run.purpose == "upstream")
    assert (earlier.spec.experiment, earlier.spec.parameters["use_online"]) == ("per-persona", False)
    assert (planned.target.spec.changed, planned.notes) == ((), ())
    assert planned.target.spec.upstream == {"start": earlier.run_id}
    queue(ws, plan(ws, "per-persona"))
    assert plan(ws, "online").target.spec.upstream == {"start": earlier.run_id}


@pytest.mark.parametrize(
    ("experiment", "parameters", "roles"),
    [
        ("cluster", {"l2": 0.1, "l2_toward": "unified"}, {"clusters", "toward"}),
        ("cluster-from-unified", {}, {"clusters", "unified"}),
        ("cluster-from-unified", {"start": "weights"}, {"clusters", "start"}),
        ("constrained", {"l2_toward": "unified"}, {"toward"}),
    ],
)
def test_how_unified_takes_part_is_said_by_the_role(
    ws: Workspace, experiment: str, parameters: dict[str, object], roles: set[str]
) -> None:
    assert set(plan(ws, experiment, parameters).target.spec.upstream) == roles


def test_a_pull_that_cannot_pull_is_refused(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="nothing pulls while l2 is 0"):
        plan(ws, "per-persona", {"l2_toward": "unified"})
    with pytest.raises(EngineError, match="a delta is pulled to unified"):
        plan(ws, "cluster-from-unified", {"l2": 0.1, "l2_toward": "unified"})


def test_new_runs_on_the_way_stand_on_the_layers_asked_for(ws: Workspace) -> None:
    planned = plan(ws, "hybrid", {"target_modules": ["q_proj"]})
    asked = {
        run.spec.experiment: run.spec.parameters["target_modules"]
        for run in planned.runs
        if "target_modules" in run.spec.parameters
    }
    assert asked == {"unified": ["q_proj"], "hybrid": ["q_proj"]}


def test_auto_is_the_run_that_names_the_usual_layers(ws: Workspace) -> None:
    by_default = plan(ws, "unified").target.spec
    named = plan(ws, "unified", {"target_modules": ["v_proj", "q_proj"]}).target.spec
    assert (named.run_id, named.changed) == (by_default.run_id, ())
    assert plan(ws, "constrained").target.spec.parameters["target_modules"] == ["q_proj"]


def test_a_layer_that_the_base_has_not_got_is_refused_before_anything_is_launched(ws: Workspace) -> None:
    write_json(ws.config, {**ws.read_config(), "base": "embedded"})
    with pytest.raises(EngineError, match="no layer called qkv") as refused:
        plan(ws, "unified", {"target_modules": ["q_proj", "qkv"]})
    assert "k_proj" in (refused.value.hint or "")
    assert not list(ws.runs.glob("*"))


def test_what_trains_adapters_has_its_controls_beside_it(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path)
    planned = plan(ws, "hybrid", {"rank": 4}, controls=True)
    made = {run.spec.experiment: run for run in planned.runs}
    assert list(made)[-3:] == ["hybrid", "matched", "placebo"]
    assert planned.target.spec.experiment == "hybrid"
    assert {made["matched"].purpose, made["placebo"].purpose} == {"control"}
    assert made["matched"].spec.upstream == {"matched": planned.target.run_id}
    assert made["placebo"].spec.upstream == {"of": planned.target.run_id}
    unified, matched = made["unified"].spec.parameters, made["matched"].spec.parameters
    assert matched["to"] == "hybrid"
    assert (matched["rank"], matched["learning_rate"]) == (unified["rank"], unified["learning_rate"])
    assert matched["patience"] is None
    for name, parameters in (("hybrid", {"personas": 3}), ("unified", {}), ("retrieval", {})):
        assert all(run.purpose != "control" for run in plan(ws, name, parameters, controls=True).runs)
