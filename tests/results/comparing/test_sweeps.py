"""What a sweep found: which runs belong to it, what is chosen on val, and its chart and words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.sweeps import sweep_results, sweep_results_of
from engine.runs.runfolder import Status, write_spec, write_status
from engine.show.charts.sweep import sweep_chart, sweep_table, sweep_words
from engine.strategies import registry
from engine.strategies.plan import plan
from engine.strategies.sweep import sweep_of
from tests.experiments_for_tests import EXPERIMENTS
from tests.workspaces import finish


@pytest.fixture
def swept(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """`gain` at three lifts against a variant called unified, and runs that are no part of the sweep."""
    unified = replace(EXPERIMENTS["count"], name="unified", makes="unified")
    monkeypatch.setitem(registry.EXPERIMENTS, "unified", unified)
    finish(ws, "unified")
    for lift in (0.2, 0.0, -0.3):
        finish(ws, "gain", {"lift": lift})
    finish(ws, "gain", {"lift": 0.2, "ticks": 5})
    finish(ws, "gain", {"lift": 0.5}, seed=7)
    finish(ws, "gain", {"lift": 0.6, "examples_per_persona": 4})
    return ws


def test_a_sweep_is_the_runs_that_differ_in_one_parameter(swept: Workspace) -> None:
    found = sweep_results(swept, "gain", "lift")
    assert [point.value for point in found.points] == [-0.3, 0.0, 0.2]
    assert (found.reference, found.best) == ("unified", 0.2)
    for point in found.points:
        for row in point.rows.values():
            assert row["delta"] == pytest.approx(0.1 + point.value, abs=0.08)
            assert row["ci_low"] < row["delta"] < row["ci_high"]
    ticks = sweep_results(swept, "gain", "ticks")
    assert [point.value for point in ticks.points] == [3, 5]


def test_values_not_done_yet_are_named_with_their_state(swept: Workspace) -> None:
    planned = plan(swept, "gain", {"lift": 0.4})
    write_status(swept.run_folder(planned.target.run_id), Status(state="queued", order=99))
    write_spec(swept.run_folder(planned.target.run_id), planned.target.spec)
    point = sweep_results(swept, "gain", "lift").points[-1]
    assert (point.value, point.state, point.variant, dict(point.rows)) == (0.4, "queued", None, {})


def test_on_test_only_the_value_chosen_on_val_is_looked_at(swept: Workspace) -> None:
    chosen = sweep_results(swept, "gain", "lift", splits=["val"])
    assert chosen.protocol is not None
    there = looks.at(compare_variants(swept, split="val", protocol=chosen.protocol))
    assert looks.seen(swept, there) == []
    assert set(chosen.points[0].rows) == {"val"}
    found = sweep_results(swept, "gain", "lift", values=[0.0, 0.2])
    assert [point.value for point in found.points if "test" in point.rows] == [found.best] == [0.2]
    assert len(looks.seen(swept, there)) == 1


def test_an_empty_sweep_and_an_unknown_name(swept: Workspace) -> None:
    empty = sweep_results(swept, "after", "lift")
    assert (empty.points, empty.best, empty.reference) == ((), None, None)
    assert "nothing to choose yet" in sweep_words([empty])[0]
    assert len(sweep_table([empty])) == 0
    sweep_chart([empty]).to_dict()
    with pytest.raises(EngineError, match="no experiment named"):
        sweep_results(swept, "gian", "lift")


def test_the_chart_holds_a_point_a_value_and_split_in_order(swept: Workspace) -> None:
    results = sweep_results_of(swept, sweep_of(swept, "gain", "lift", [0.2, 0.0, -0.3]))
    table = sweep_table(results)
    assert list(table["value"]) == ["0.2", "0.2", "0.0", "-0.3"]  # on test only 0.2
    assert set(table["series"]) == {"validation", "test"}
    assert list(table.loc[table["best"], "value"]) == ["0.2", "0.2"]
    assert set(table["verdict"]) == {"better", "worse"}
    chart = sweep_chart(results).to_dict()
    assert {layer["mark"]["type"] for layer in chart["layer"]} == {"rule", "line", "point", "text"}
    (words,) = sweep_words(results)
    assert words.startswith("gain: lift = 0.2 is best on validation")
    assert "on test +" in words


def test_several_experiments_are_a_line_each(swept: Workspace) -> None:
    results = [sweep_results(swept, "gain", "lift"), sweep_results(swept, "unified", "lift")]
    table = sweep_table(results, splits=["val"])
    assert set(table["series"]) == {"gain", "unified"}
    assert list(table.loc[table["series"] == "unified", "words"]) == ["0.0"]
    sweep_chart(results, splits=["val"]).to_dict()
