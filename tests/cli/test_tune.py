"""A tuning with real runs: the best on val is kept, and the comparison says what it cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.cli import main
from engine.core.paths import Workspace
from engine.results import tuning
from engine.runs.records import scan


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
    lifts = {record.run_id: record.spec.parameters["lift"] for record in scan(ws) if record.spec}
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
    assert main(["compare", "--reference", "count", "--workspace", str(ws.root)]) == 0
    told = capsys.readouterr().err
    assert "gain was tuned on val: 2 settings for 2 runs (budget 2)" in " ".join(told.split())
    assert main(["tune", "count", "--workspace", str(ws.root)]) == 1
    assert "nothing to tune" in capsys.readouterr().err


def test_what_is_fixed_is_fixed_for_all(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(ws, capsys, "tune", "gain", "--budget", "3", "--set", "lift=0.05")
    values = {
        record.spec.parameters["lift"] for record in scan(ws) if record.spec and record.experiment == "gain"
    }
    assert values == {0.05}
    assert found["tuned"]["kept"]["lift"] == 0.05
