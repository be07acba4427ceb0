"""The commands that verdicts rest on: the study from other seeds, and the reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.paths import Workspace
from engine.results import store
from tests.seeded_study import OF_SEEDS, register, run
from tests.workspaces import make_workspace


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    register(monkeypatch)
    return make_workspace(tmp_path)


def test_what_a_repeat_takes_is_told_before_it_runs(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("repeat", "--dry-run", "-w", str(ws.root))
    assert main([*asked]) == 1
    assert "no reference yet" in capsys.readouterr().err
    run(ws, "unified", ticks=4)
    store.refresh(ws)
    run(ws, "hybrid")
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["experiment"], one["seed"]) for one in told["runs"]] == [
        *[("unified", 1), ("hybrid", 1)],
        *[("unified", 2), ("hybrid", 2)],
    ]
    assert told["estimate_seconds"] is not None


def test_the_reference_is_shown_and_changed(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    first, other = run(ws, "unified"), run(ws, "unified", ticks=5)
    assert main(["reference", "-w", str(ws.root)]) == 0
    assert f"{first}: the first there was" in capsys.readouterr().out
    assert main(["reference", other, "-w", str(ws.root)]) == 0
    assert f"instead of {first}" in capsys.readouterr().out
    assert main(["compare", "-w", str(ws.root), "--json"]) == 0
    rows = {row["run_id"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows[other]["role"] == "reference"


def test_the_table_says_what_training_has_to_do_with_it(
    ws: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OF_SEEDS, ("unified", 1), 0.02)
    monkeypatch.setitem(OF_SEEDS, ("unified", 2), -0.02)
    run(ws, "unified")
    store.refresh(ws)
    on = run(ws, "unified", ticks=5)
    run(ws, "hybrid", on=on)
    for seed in (1, 2):
        run(ws, "unified", seed=seed)
    assert main(["compare", "-w", str(ws.root)]) == 0
    told = capsys.readouterr()
    assert "which it is built on" in told.err
    assert "Within the noise of training" in told.err
    assert "Mean over 3 seeds" in told.err
    assert "ground" in told.out
    assert " repeat " not in told.out
    assert "2 repeats from other seeds left out of the table" in told.err
    assert main(["compare", "--repeats", "-w", str(ws.root)]) == 0
    told = capsys.readouterr()
    assert told.out.count(" repeat ") == 2
    assert "Another seed alone" in told.err
    named = next(one.variant for one in store.variants(ws) if one.variant.startswith("unified@"))
    assert main(["compare", "--variant", named, "-w", str(ws.root)]) == 0
    assert named in capsys.readouterr().out
