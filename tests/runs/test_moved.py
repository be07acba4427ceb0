"""A workspace moved while a run trains: the worker ends, nothing grows at the old place, the run resumes.

And one copied meanwhile: its processes are the original's, which it neither waits for nor ends.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.core import paths
from engine.core.errors import EngineError
from engine.core.locks import queue_lock
from engine.core.paths import Workspace, WorkspaceGone, write_json
from engine.runs import jobs
from engine.runs.background import Background
from engine.runs.processes import ProcessIdentity, identity, running
from engine.runs.records import find
from engine.strategies.plan import plan
from tests.workspaces import eventually


@pytest.mark.parametrize("what", ["workspace", "run folder"])
def test_a_run_whose_folder_goes_ends_and_leaves_nothing_behind(
    ws: Workspace, tmp_path_factory: pytest.TempPathFactory, what: str
) -> None:
    base = tmp_path_factory.mktemp("base")  # a base that stays where it is
    shutil.copytree(ws.read_config()["base"], base, dirs_exist_ok=True)
    write_json(ws.config, {**ws.read_config(), "base": str(base)})
    run_id = jobs.submit(ws, plan(ws, "count", {"ticks": 40, "pause": 0.25}))[0].record.run_id
    worker = eventually(lambda: find(ws, run_id).status.done and find(ws, run_id).status.worker)
    supervisor = find(ws, run_id).status.supervisor
    new = Workspace(tmp_path_factory.mktemp("new") / "moved")
    if what == "workspace":
        os.rename(ws.root, new.root)
    else:
        shutil.copytree(ws.root, new.root, ignore=shutil.ignore_patterns("runs"))
        os.rename(ws.runs, new.runs)
    eventually(lambda: not running(worker), timeout_seconds=400)
    eventually(lambda: not running(supervisor), timeout_seconds=400)
    assert not (ws.root.exists() if what == "workspace" else ws.run_folder(run_id).exists())
    assert find(new, run_id).state == "lost"
    assert "was moved or deleted" in (new.run_folder(run_id) / "log.txt").read_text(encoding="utf-8")
    jobs.resume(new, run_id)
    assert jobs.wait(new, [run_id], timeout_seconds=400)[0].state == "succeeded"


def test_nothing_is_written_or_locked_where_a_workspace_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Workspace(tmp_path / "gone")
    monkeypatch.setattr(paths, "_anchored", set())
    paths.anchor(gone.root)
    with pytest.raises(FileNotFoundError):
        write_json(gone.run_folder("x-1") / "status.json", {})
    with pytest.raises(WorkspaceGone), queue_lock(gone):
        pass
    assert issubclass(WorkspaceGone, EngineError)
    assert not gone.root.exists()


def test_a_copy_of_a_workspace_has_none_of_its_processes(ws: Workspace, tmp_path: Path) -> None:
    """The original's run goes on, whatever is done to the copy's, which resumes from what was copied."""
    run_id = jobs.submit(ws, plan(ws, "count", {"ticks": 40, "pause": 0.25}))[0].record.run_id
    worker = eventually(lambda: find(ws, run_id).status.done and find(ws, run_id).status.worker)
    copy = Workspace(shutil.copytree(ws.root, tmp_path / "copy"))
    assert find(ws, run_id).state == "running"
    assert find(copy, run_id).state == "lost"
    with pytest.raises(EngineError, match="cannot be cancelled|has ended|was lost"):
        jobs.cancel(copy, run_id)
    assert running(worker)
    jobs.resume(copy, run_id)
    other = eventually(lambda: find(copy, run_id).status.worker)
    jobs.cancel(copy, run_id)
    assert other != worker
    assert jobs.wait(ws, [run_id], timeout_seconds=400)[0].state == "succeeded"
    assert find(copy, run_id).state == "cancelled"


@dataclass(frozen=True, slots=True)
class Beside:
    """What a process beside the app says of itself."""

    step: int
    process: ProcessIdentity | None = None


def test_a_copy_knows_what_a_process_beside_the_app_said_and_does_not_take_it_for_its_own(
    tmp_path: Path,
) -> None:
    own = Background(tmp_path / "a" / "report", "The report", "engine.show.report.making")
    own.write(Beside(3, identity()))
    copy = replace(own, folder=tmp_path / "b" / "report")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert own.read(Beside) == Beside(3, identity())
    assert copy.read(Beside) == Beside(3)
    os.rename(tmp_path / "a", tmp_path / "moved")
    assert replace(own, folder=tmp_path / "moved" / "report").read(Beside) == Beside(3, identity())
