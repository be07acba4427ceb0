"""Estimates from what runs have cost: per unit of work, here, elsewhere, and by other experiments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.paths import Workspace
from engine.domains.chat import CHAT
from engine.runs import jobs
from engine.runs.context import RunContext
from engine.runs.records import RunRecord, find
from engine.runs.runfolder import RunSpec, Status
from engine.strategies import costs
from engine.strategies.budgets import MATCHED_TO
from engine.strategies.ground import Ground
from engine.strategies.plan import look, plan
from engine.strategies.workload import workload
from tests.workspaces import eventually

GROUND = Ground("embedded", "f00d", "data", "by-time", "split", 0, 20, 20, True, 1000, CHAT)
SPEC = RunSpec(
    "per-persona", 1, {"epochs": 3, "personas": None}, 0, "data", "embedded",
    protocol={"examples_per_persona": 10, "splits": ["val", "test"]},
    stages={"load": 2.0, "train": 70.0, "generate": 25.0, "score": 3.0},
)  # fmt: skip
SECONDS = {"load": 4.0, "train": 360.0, "generate": 40.0, "score": 20.0}


def record(
    spec: RunSpec, seconds: dict[str, float], *, at: str = "2026-01-01", state: str = "succeeded"
) -> RunRecord:
    status = Status(state=state, stage_seconds=seconds, seconds=sum(seconds.values()), ended_at=at)  # type: ignore[arg-type]
    return RunRecord(spec.run_id, spec.experiment, state, spec, status)  # type: ignore[arg-type]


def changed(spec: RunSpec, **parameters: object) -> RunSpec:
    return replace(spec, parameters={**spec.parameters, **parameters})


def test_work_grows_with_personas_epochs_examples_and_variants() -> None:
    whole = workload(SPEC, GROUND)
    assert whole == {"load": 1.0, "train": 20 * 30 * 3, "generate": 400.0, "score": 400.0}
    assert workload(changed(SPEC, personas=5), GROUND)["train"] == whole["train"] / 4
    assert workload(changed(SPEC, epochs=6), GROUND)["train"] == whole["train"] * 2
    assert workload(changed(SPEC, history=10), GROUND)["train"] == whole["train"] / 3
    assert workload(changed(SPEC, use_augmented=True), GROUND)["train"] == 20 * 100 * 3
    assert workload(changed(SPEC, k=[1, 3, 5]), GROUND)["generate"] == whole["generate"] * 3
    more = replace(SPEC, protocol={**SPEC.protocol, "examples_per_persona": 20})
    assert workload(more, GROUND)["score"] == whole["score"] * 2


def test_a_mixture_of_one_weight_has_nothing_to_choose() -> None:
    spec = replace(SPEC, parameters={"weights": [0.6]}, stages={"load": 3.0, "sweep": 60.0, "generate": 37.0})
    assert workload(spec, GROUND) == {"load": 1.0, "generate": 400.0}
    several = workload(changed(spec, weights=[0.2, 0.4, 0.6]), GROUND)
    assert several == {"load": 1.0, "sweep": 600.0, "generate": 400.0}, (
        "each answers ten val examples of each"
    )


def test_weights_that_are_fitted_count_every_fold_and_cost_what_training_costs() -> None:
    stages = {"load": 2.0, "fit": 40.0, "generate": 85.0}
    spec = replace(SPEC, experiment="merge-learned", parameters={"epochs": 2}, stages=stages)
    units = workload(spec, GROUND)
    assert units["fit"] == 20 * 10 * 2 * 5, (
        "of 50 dialogues ten are val; all, then without each of five folds"
    )
    made = costs.estimate(spec, GROUND, costs.learned([record(SPEC, SECONDS)], GROUND), {})
    assert made is not None
    assert made.stages["fit"] == pytest.approx(SECONDS["train"] * units["fit"] / (20 * 30 * 3))


def test_a_choice_of_several_settings_counts_every_combination_and_costs_replies() -> None:
    lists = {
        "depths": [0.25, 0.5],
        "scales": [0.0, 1.0, 2.0],
        "target_modules": ["q_proj", "v_proj"],
        "replies": 4,
    }
    stages = {"load": 3.0, "replies": 30.0, "states": 10.0, "sweep": 45.0, "generate": 18.0}
    spec = replace(SPEC, experiment="steering-vectors", parameters=lists, stages=stages)
    units = workload(spec, GROUND)
    assert (units["replies"], units["states"], units["sweep"]) == (80.0, 80.0, 200.0 * 6)
    made = costs.estimate(spec, GROUND, costs.learned([record(SPEC, SECONDS)], GROUND), {})
    assert made is not None
    assert made.is_guess
    assert made.stages["sweep"] == pytest.approx(6 * made.stages["generate"] / 2)


def test_a_step_matched_control_takes_what_it_is_matched_to() -> None:
    matched = replace(changed(SPEC, epochs=100), experiment="matched", upstream={MATCHED_TO: SPEC.run_id})
    assert workload(matched, GROUND, {MATCHED_TO: SPEC})["train"] == workload(SPEC, GROUND)["train"]


def test_augmentation_counts_the_dialogues_that_are_to_be_made() -> None:
    spec = replace(SPEC, parameters={"target": 100, "multiple": None}, stages={"augment": 100.0})
    assert workload(spec, GROUND) == {"augment": 20 * 70.0}
    assert workload(changed(spec, multiple=2), GROUND) == {"augment": 20 * 30.0}


def test_training_on_augmented_dialogues_counts_what_their_augmentation_aims_at() -> None:
    twice = replace(SPEC, experiment="augmentation", parameters={"target": 100, "multiple": 2}, stages={})
    spec = replace(changed(SPEC, use_augmented=True), upstream={"augmented": twice.run_id})
    assert workload(spec, GROUND, {"augmented": twice})["train"] == 20 * 60 * 3
    assert workload(spec, GROUND)["train"] == 20 * 100 * 3
    known = costs.learned([record(spec, SECONDS), record(twice, {})], GROUND)
    assert known["per-persona", "train"] == [pytest.approx(360.0 / (20 * 60 * 3))]


def test_an_estimate_is_the_cost_of_each_unit_times_the_units() -> None:
    known = costs.learned([record(SPEC, SECONDS)], GROUND)
    same = costs.estimate(SPEC, GROUND, known, {})
    assert same is not None
    assert (same.seconds, same.is_guess) == (pytest.approx(424.0), False)
    half = costs.estimate(changed(SPEC, personas=10), GROUND, known, {})
    assert half is not None
    assert half.seconds == pytest.approx(4 + 180 + 20 + 10)


def test_of_a_run_done_elsewhere_nothing_is_learned() -> None:
    here = record(SPEC, SECONDS)
    there = replace(here, status=replace(here.status, launcher="ray"))
    assert costs.learned([there], GROUND) == {}
    assert costs.learned([here, there], GROUND) == costs.learned([here], GROUND)


def test_the_median_of_the_newest_costs_counts() -> None:
    slow = {stage: 100 * seconds for stage, seconds in SECONDS.items()}
    records = [record(SPEC, slow, at="2026-01-01")]
    records += [record(SPEC, SECONDS, at=f"2026-02-{day:02}") for day in range(1, 4)]
    made = costs.estimate(SPEC, GROUND, costs.learned(records, GROUND), {})
    assert made is not None
    assert made.seconds == pytest.approx(424.0)


def test_another_experiment_gives_a_guess_and_nothing_at_all_none() -> None:
    known = costs.learned([record(SPEC, SECONDS)], GROUND)
    other = replace(SPEC, experiment="hybrid")
    made = costs.estimate(other, GROUND, known, {})
    assert made is not None
    assert made.is_guess
    assert costs.estimate(SPEC, GROUND, {}, {}) is None
    scoring = costs.learned([record(replace(SPEC, experiment="base"), {"generate": 40.0})], GROUND)
    assert costs.estimate(SPEC, GROUND, scoring, {}) is None, "the training, most of it, is unknown"


def test_runs_that_failed_or_stood_on_another_base_teach_nothing() -> None:
    failed = record(SPEC, SECONDS, state="failed")
    foreign = record(replace(SPEC, base="other"), SECONDS)
    assert costs.learned([failed, foreign], GROUND) == {}


def test_another_workspace_of_the_user_learns_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert costs.of_this_machine(GROUND) == {}
    costs.keep(SPEC.run_id, [record(SPEC, SECONDS)], GROUND)
    made = costs.estimate(SPEC, GROUND, {}, costs.of_this_machine(GROUND))
    assert made is not None
    assert (made.seconds, made.is_guess) == (pytest.approx(424.0), False)
    assert costs.of_this_machine(replace(GROUND, base_fingerprint="beef")) == {}
    next(tmp_path.rglob("costs-*.json")).write_text("[torn")
    assert costs.of_this_machine(GROUND) == {}


def test_estimates_are_held_against_the_truth() -> None:
    right = record(replace(SPEC, estimate_seconds=212.0), SECONDS)
    (found,) = costs.check([right, record(SPEC, SECONDS), record(right.spec, SECONDS, state="failed")])  # type: ignore[arg-type]
    assert found.error == pytest.approx(0.5)


def test_a_stage_is_charged_with_the_time_that_went_to_it(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("engine.runs.context.time.monotonic", lambda: clock[0])
    context = RunContext(ws, SPEC)
    for seconds, stage, done, total in (
        (0, "load", 0, 1), (5, "train", 0, 10), (20, "train", 5, 10), (20, "train", 10, 10),
        (3, "generate", 2, 4), (3, "generate", 4, 4),
    ):  # fmt: skip
        clock[0] += seconds
        context.progress(stage, done, total)
    assert context._status.stage_seconds == {"load": 5.0, "train": 40.0, "generate": 6.0}


def test_a_real_run_teaches_the_plan_of_the_next_one(ws: Workspace) -> None:
    first = plan(ws, "count")
    assert first.estimate_seconds is None
    jobs.submit(ws, first)
    ended = eventually(lambda: (found := find(ws, first.target.run_id)).state == "succeeded" and found)
    assert sum(ended.status.stage_seconds.values()) > 0
    again = plan(ws, "count", seed=7, seen=look(ws)).target.spec
    assert again.estimate_seconds is not None
    assert again.run_id != first.target.run_id
