"""What is to be run next, in every situation a first visitor can be in."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import study
from engine.errors import EngineError
from engine.paths import Workspace
from tests.sample_study import end_badly, finish, prepare_world


def test_without_data_there_is_no_step(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not a workspace yet"):
        study.steps(Workspace(tmp_path))


def test_the_steps_follow_one_another(tmp_path: Path) -> None:
    ws = prepare_world(tmp_path, personas=5, dialogues=6)
    asked = []
    while (step := study.next_step(study.steps(ws))) is not None:
        asked.append(step.experiment.name)
        finish(ws, step.experiment.name, per_persona=2)
    assert asked == list(study.FIRST_STEPS)


def test_a_step_that_ended_badly_stays_next(tmp_path: Path) -> None:
    ws = prepare_world(tmp_path, personas=5, dialogues=6)
    end_badly(ws, "unified", state="failed", error="No memory left.")
    step = study.next_step(study.steps(ws))
    assert step is not None
    assert (step.experiment.name, step.state) == ("unified", "failed")


def test_what_cannot_exist_here_is_never_next(tmp_path: Path) -> None:
    ws = prepare_world(tmp_path, personas=5, dialogues=6)
    (ws.dataset / "truth.jsonl").unlink()
    finish(ws, "unified", "retrieval", "profile-prompt", per_persona=2)
    found = study.steps(ws)
    assert study.next_step(found) is None
    assert "synthetic worlds" in (found[-1].reason or "")


def test_the_command_names_only_what_differs(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    assert study.command("unified", {}, ws, is_default=True) == "python -m engine run unified"
    told = study.command("unified", {"rank": "16"}, ws, is_default=False)
    assert told == f"python -m engine run unified --set rank=16 --workspace {tmp_path}"
