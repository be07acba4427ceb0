"""Another base for a workspace: what was made stays, what follows is another run."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.base_identity import base_of
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.runs.runfolder import Status, put_here, write_spec, write_status
from engine.strategies.ground import change_base
from engine.strategies.plan import plan
from tests.workspaces import make_workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def test_runs_over_the_new_base_are_others_and_going_back_is_going_back(ws: Workspace) -> None:
    before = str(ws.read_config()["base"])
    old = plan(ws, "base").target.run_id
    assert change_base(ws, "embedded") == (before, "embedded")
    assert base_of(ws).name == "embedded"
    new = plan(ws, "base").target.run_id
    assert new != old
    assert change_base(ws, "embedded") == ("embedded", "embedded")
    assert plan(ws, "base").target.run_id == new


def test_a_base_that_is_none_is_refused_and_nothing_changes(ws: Workspace, tmp_path: Path) -> None:
    before = ws.read_config()
    with pytest.raises(EngineError, match="no base model at"):
        change_base(ws, str(tmp_path / "nowhere"))
    assert ws.read_config() == before


def test_not_while_runs_wait_or_work(ws: Workspace) -> None:
    run = plan(ws, "base").target
    status = put_here(ws, run.spec, Status(state="queued", order=1))
    write_status(ws.run_folder(run.run_id), status)
    write_spec(ws.run_folder(run.run_id), run.spec)
    with pytest.raises(EngineError, match="while runs wait or work") as refused:
        change_base(ws, "embedded")
    assert run.run_id in (refused.value.hint or "")
