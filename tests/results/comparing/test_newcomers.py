"""A cold start for real: what serves personas whom the unified adapter below was not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.core.paths import Workspace, read_json
from engine.data.dataset import load_dataset
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.sweeps import SweepResults, more_than_there_is, sweep_results_of
from engine.show.charts.sweep import sweep_table, sweep_words
from engine.strategies.plan import plan
from engine.strategies.sweep import SWEEPS, Sweep, plan_sweep
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 12}
SWEEP = replace(SWEEPS["cold-start"], experiments=("retrieval", "hybrid"), values=(0, 1))


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four personas over the embedded base: two whom unified knows, two newcomers."""
    torch.set_num_threads(1)
    ws = prepare_study(tmp_path_factory.mktemp("study"), Path("embedded"), dialogues=6)
    in_process.do(ws, "hybrid", {**SETTINGS, "history": 1})  # over the usual unified: no part of the sweep
    for planned in plan_sweep(ws, SWEEP, SETTINGS):
        for run in planned.runs:
            if (
                plan(ws, "unified", SETTINGS).target.run_id != run.run_id
                and not (ws.run_folder(run.run_id) / "done.json").exists()
            ):
                in_process.start(ws, run.spec)
                in_process.assert_succeeded(ws, run.run_id)
    return ws


@pytest.fixture(scope="module")
def results(ws: Workspace) -> dict[str, SweepResults]:
    return {one.experiment: one for one in sweep_results_of(ws, SWEEP)}


def below(ws: Workspace) -> str:
    (run_id,) = {
        one.target.spec.upstream.get("unified") or one.target.spec.upstream["over"]
        for one in plan_sweep(ws, SWEEP, SETTINGS)
    }
    return str(run_id)


def newcomers(ws: Workspace) -> set[str]:
    (record,) = read_json(ws.run_folder(below(ws)) / "training.json")
    return {one.persona_id for one in load_dataset(ws).personas} - set(record["personas"])


def test_half_of_the_personas_never_reach_the_unified_adapter(ws: Workspace) -> None:
    (record,) = read_json(ws.run_folder(below(ws)) / "training.json")
    assert (len(record["personas"]), len(newcomers(ws))) == (2, 2)
    usual = read_json(ws.run_folder(plan(ws, "unified", SETTINGS).target.run_id) / "training.json")
    assert record["train_dialogues"] * 2 == usual[0]["train_dialogues"]


def test_only_newcomers_are_judged_and_against_the_unified_that_knows_nothing_of_them(
    ws: Workspace, results: dict[str, SweepResults]
) -> None:
    reference = scores_of(ws, below(ws))
    for experiment, found in results.items():
        for point in found.points:
            if not point.run_id:
                continue
            own = scores_of(ws, point.run_id)
            assert "val" in point.rows
            for split in point.rows:
                gains = []
                for persona in sorted(newcomers(ws)):
                    mine, theirs = (
                        one[(one["split"] == split) & (one["persona_id"] == persona)]["embedding_similarity"]
                        for one in (own, reference)
                    )
                    gains.append(mine.mean() - theirs.mean())
                row = point.rows[split]
                assert row["n_paired"] == 2, experiment
                assert row["delta"] == pytest.approx(sum(gains) / 2, abs=1e-6)


def test_what_cannot_be_is_a_point_without_rows_and_nothing_is_what_unified_does(
    results: dict[str, SweepResults],
) -> None:
    retrieval, hybrid = results["retrieval"].points, results["hybrid"].points
    assert [(one.value, bool(one.rows)) for one in retrieval] == [(0, True), (1, True)]
    assert [(one.value, one.state, bool(one.rows)) for one in hybrid] == [
        (0, "not run", False),
        (1, "succeeded", True),
    ]
    assert retrieval[0].rows["val"]["delta"] == 0.0


def test_an_amount_that_is_more_than_they_have_is_said(
    ws: Workspace, results: dict[str, SweepResults]
) -> None:
    assert [one.remark for one in results.values()] == ["", ""]
    said = more_than_there_is(ws, "history", (0, 3, 4))
    assert said == "4 of 4 personas have fewer than 4 train dialogues: for them 4 is all they have."
    assert more_than_there_is(ws, "history", (0, 3)) == more_than_there_is(ws, "l2", (0, 4)) == ""
    told = [replace(one, remark=said) for one in results.values()]
    assert sweep_words(told)[-1] == said
    assert len(sweep_words(told)) == len(told) + 1


def test_test_is_read_for_the_value_that_val_chose_alone(results: dict[str, SweepResults]) -> None:
    found = results["retrieval"]
    assert [one.value for one in found.points if "test" in one.rows] == [found.best]


def test_the_chart_has_a_line_for_each_that_can(ws: Workspace, results: dict[str, SweepResults]) -> None:
    drawn = sweep_table(list(results.values()), splits=("val",))
    assert [(row.experiment, row.value) for row in drawn.itertuples()] == [
        ("retrieval", "0"),
        ("retrieval", "1"),
        ("hybrid", "1"),
    ]
    assert set(drawn["personas"]) == {2}


def test_what_is_seen_on_test_is_counted(ws: Workspace, results: dict[str, SweepResults]) -> None:
    protocol = results["hybrid"].protocol
    assert protocol is not None
    there = looks.at(compare_variants(ws, split="val", protocol=protocol))
    shown = {point.variant for one in results.values() for point in one.points if "test" in point.rows}
    assert {look.variant for look in looks.seen(ws, there)} == shown


def test_before_anything_is_run_there_are_points_and_no_rows(tmp_path: Path) -> None:
    empty = prepare_study(tmp_path / "empty", Path("embedded"), dialogues=6)
    found = sweep_results_of(empty, SWEEPS["cold-start"])
    assert [one.experiment for one in found] == list(SWEEPS["cold-start"].experiments)
    assert all(not point.rows for one in found for point in one.points)


def test_a_sweep_that_is_not_about_newcomers_is_as_it_was(ws: Workspace) -> None:
    plain = Sweep("x", "x", "x?", ("hybrid",), "history", (1, 2))
    (found,) = sweep_results_of(ws, plain)
    assert found.points
