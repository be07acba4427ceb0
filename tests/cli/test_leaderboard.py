"""The comparison in the terminal: rows, remarks, criteria, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest

from engine.cli import main
from engine.core.paths import Workspace
from tests.workspaces import finish


@pytest.fixture
def ws(ws: Workspace) -> Workspace:
    finish(ws, "gain")
    return ws


def test_a_table_tells_verdict_share_and_what_to_know(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "--reference", "count", "--split", "test", "-w", str(ws.root)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Validation chose gain; on test it is better: +")
    assert "better" in next(line for line in said.out.splitlines() if line.startswith("gain"))
    assert "100 % (96 % to 100 %)" in said.out
    assert "Test seen: 1 verdict on these dialogues" in said.err
    assert "6 personas find a true difference of" in said.err


def test_compare_opens_on_val_and_looks_at_nothing(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--reference", "count", "-w", str(ws.root)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Validation chooses gain: +")
    assert "Test has not judged it yet" in said.out
    assert " on val, " in said.out
    assert not (ws.data / "looks.jsonl").exists()


def test_a_plan_is_frozen_before_test_is_looked_at_and_never_after(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--reference", "count", "-w", str(ws.root)]
    assert main(["freeze", *asked, "--further", "device_f1", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (list(plan["variants"].values()), plan["further"], plan["looks"]) == (["gain"], ["device_f1"], 0)
    assert len(plan["hash"]) == 16
    assert main(["compare", *asked, "--split", "test"]) == 0
    capsys.readouterr()
    assert main(["freeze", *asked]) == 1
    assert "Test was looked at before" in capsys.readouterr().err


def test_criteria_need_unified_and_say_so(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--reference", "count", "--criteria", "-w", str(ws.root)]) == 0
    assert "The criteria need unified" in capsys.readouterr().err


def test_a_family_a_split_and_a_metric_can_be_asked_for(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--reference", "gain", "--family", "test", "--split", "val", "--metric", "device_f1"]
    assert main(["compare", *asked, "--json", "-w", str(ws.root)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["variant"] for row in found["rows"]] == ["gain", "count"]
    assert (found["split"], found["metric"], found["test_looks"]) == ("val", "device_f1", 0)
    assert main(["compare", "--family", "nobody", "-w", str(ws.root)]) == 1
    assert "no family named 'nobody'" in capsys.readouterr().err


def test_one_variant_can_be_asked_for_and_csv_holds_fractions(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--reference", "count", "--variant", "gain-alias", "--csv"]
    assert main(["compare", *asked, "-w", str(ws.root)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["variant"] for row in rows] == ["count", "gain"]
    assert rows[1]["verdict"] == "better"
    assert 0 < float(rows[1]["delta"]) < 1


def test_a_margin_is_in_points_and_told(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["compare", "--reference", "count", "--metric", "device_f1", "--json", "-w", str(ws.root)]
    assert main([*call, "--margin", "5"]) == 0
    (_, gain) = json.loads(capsys.readouterr().out)["rows"]
    assert (gain["wins"], gain["ties"]) == (6, 0)
    assert main([*call, "--margin", "15"]) == 0
    (_, gain) = json.loads(capsys.readouterr().out)["rows"]
    assert (gain["wins"], gain["ties"], gain["losses"]) == (0, 6, 0)
    assert main(["compare", "--reference", "count", "--margin", "5", "-w", str(ws.root)]) == 0
    assert "Better and worse: by more than 5.0; equal: within it." in capsys.readouterr().err
