"""A tuning with real runs: the best on val is kept, and the comparison says what it cost."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from engine.cli import main
from engine.core.paths import Workspace, read_json
from engine.results import tuning
from engine.results.comparing.comparison import compare_variants
from engine.runs import answers
from engine.runs.records import scan
from engine.stats.routing import folds


def ask(ws: Workspace, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    code = main([*words, "--workspace", str(ws.root), "--json"])
    said = capsys.readouterr().out
    assert code == 0, said
    return json.loads(said)


def test_a_tuning_keeps_what_is_best_on_val_within_its_budget(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = ask(ws, capsys, "tune", "gain", "--budget", "4", "--dry-run")
    assert planned["rounds"] == [{"settings": 4, "personas": None}]
    assert planned["settings"][0] == {}
    assert not scan(ws)
    found = ask(ws, capsys, "tune", "gain", "--budget", "4")
    (last,) = found["rounds"]
    standings = last["standings"]
    assert len(standings) == 4
    lifts = {
        record.run_id: record.spec.parameters["lift"]
        for record in scan(ws)
        if record.spec and record.experiment == "gain"
    }
    ordered = [lifts[one["run_id"]] for one in standings]
    assert ordered == sorted(ordered, reverse=True)
    kept = found["tuned"]
    assert kept["run_id"] == standings[0]["run_id"]
    assert (kept["budget"], kept["spent"], kept["settings"]) == (4.0, 4.0, 4)
    (defaults,) = [one for one in standings if one["delta"] is None]
    assert lifts[defaults["run_id"]] == 0.0
    for one in standings:
        if one["delta"] is not None:
            assert one["delta"] == pytest.approx(one["mean"] - defaults["mean"], abs=1e-9)


def test_who_was_tuned_is_told_beside_the_comparison(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "--workspace", str(ws.root)]) == 0
    assert "Nothing was tuned" in capsys.readouterr().err
    ask(ws, capsys, "tune", "gain", "--budget", "2")
    (one,) = tuning.tuned(ws)
    assert (one.experiment, one.budget) == ("gain", 2.0)
    again = ask(ws, capsys, "tune", "gain", "--budget", "2")  # as after a cancelled one: its runs are there
    assert again["tuned"]["at"] == one.at
    assert tuning.tuned(ws) == [one]
    assert main(["compare", "--reference", "count", "--workspace", str(ws.root)]) == 0
    told = capsys.readouterr().err
    assert "gain was tuned on val: 2 settings for 2 runs (budget 2)" in " ".join(told.split())
    wider = ask(ws, capsys, "tune", "gain", "--budget", "4")  # two of its four were tried before
    assert set(one.counted) < set(wider["tuned"]["counted"])
    assert main(["compare", "--reference", "count", "--workspace", str(ws.root)]) == 0
    told = capsys.readouterr().err
    assert "gain was tuned on val: 4 settings for 4 runs (budget 6)" in " ".join(told.split())


def test_what_is_kept_is_judged_on_val_by_dialogues_that_did_not_choose_it(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a variant of its own, for which the settings that were tried make room."""
    found = ask(ws, capsys, "tune", "gain", "--budget", "4")
    best = found["tuned"]["run_id"]
    (made,) = [one for one in scan(ws) if one.experiment == "tuned"]
    chosen = read_json(ws.run_folder(made.run_id) / "chosen.json")
    assert chosen["best"].endswith(best)
    assert len(chosen["by_fold"]) == 5
    own = answers.read(ws, made.run_id).answers.to_pandas()
    kept = answers.read(ws, best).answers.to_pandas()
    same = ["split", "example_id", "reply"]
    test = [rows[rows["split"] == "test"][same].reset_index(drop=True) for rows in (own, kept)]
    pd.testing.assert_frame_equal(*test)
    dialogues = own[own["split"] == "val"][["persona_id", "dialogue_id"]]
    fold_of = folds(dialogues.itertuples(index=False, name=None))
    for row in own[own["split"] == "val"].itertuples():
        run_id = chosen["by_fold"][fold_of[row.dialogue_id]].rpartition(" of ")[2]
        theirs = answers.read(ws, run_id).answers.to_pandas().set_index(["split", "example_id"])
        assert theirs.loc[("val", row.example_id), "reply"] == row.reply
    rows = compare_variants(ws, reference="count", split="val")["rows"]
    roles = {row["run_id"]: row["role"] for row in rows}
    (defaults,) = [one["run_id"] for one in found["rounds"][-1]["standings"] if one["delta"] is None]
    others = {one["run_id"] for one in found["rounds"][-1]["standings"]} - {defaults}
    assert {roles[one] for one in others} == {"chosen here"}
    assert roles[defaults] == roles[made.run_id] == ""


def test_a_budget_of_time_is_spent_by_what_runs_really_take(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ask(ws, capsys, "tune", "gain", "--budget", "1h")
    told = found["tuned"]
    assert (told["budget"], told["budget_seconds"]) == (None, 3600.0)
    took = {one.run_id: one.status.seconds for one in scan(ws) if one.experiment == "gain"}
    assert told["seconds"] == pytest.approx(sum(took.values()), abs=0.01)
    assert main(["tune", "gain", "--budget", "0.01s", "--workspace", str(ws.root)]) == 1
    assert "do not pay for two runs" in " ".join(capsys.readouterr().err.split())
    assert main(["tune", "gain", "--budget", "soon", "--workspace", str(ws.root)]) == 1
    assert "'soon' is no budget" in " ".join(capsys.readouterr().err.split())


def test_without_a_space_nothing_is_tuned(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "count", "--workspace", str(ws.root)]) == 1
    assert "nothing to tune" in capsys.readouterr().err


def test_what_is_fixed_is_fixed_for_all(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(ws, capsys, "tune", "gain", "--budget", "3", "--set", "lift=0.05")
    values = {
        record.spec.parameters["lift"] for record in scan(ws) if record.spec and record.experiment == "gain"
    }
    assert values == {0.05}
    assert found["tuned"]["kept"]["lift"] == 0.05


def test_with_all_fixed_there_is_nothing_to_tune(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", "gain", "--budget", "4", "--dry-run", "--workspace", str(ws.root)]
    assert main([*words, "--set", "lift=0.05", "--set", "ticks=2"]) == 1
    said = capsys.readouterr().err
    assert "one setting" in said
    assert "lift, ticks" in said
    assert not scan(ws)
