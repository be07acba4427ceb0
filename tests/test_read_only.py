"""Read-only means that nothing is written: no database, lock, stamp or cache; every look still answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.locks import is_held, locked
from engine.core.machine import READ_ONLY, change_machine, read_only, unwritable
from engine.core.paths import Workspace
from engine.results import store
from engine.runs import jobs
from engine.runs.records import find, scan
from engine.serve import client, folder
from engine.show.doctor import examine
from engine.strategies.plan import plan
from tests.closed import changed, closed, study_in_the_middle, tree
from tests.sample_study import finish

LOOKS = (
    ["status"],
    ["queue"],
    ["machine"],
    ["compare"],
    ["compare", "--reference", "base", "--json"],
    ["compare", "--split", "test"],
    ["doctor"],
    ["tree"],
    ["tree", "quick-wins"],
    ["autopilot", "status"],
    ["experiments"],
    ["estimates"],
    ["pilot"],
    ["run", "hybrid", "--dry-run"],
    ["label"],
    ["restore"],
)
CHANGES = (
    ["run", "hybrid", "--detach"],
    ["sweep", "per-persona", "rank=4,8", "--detach"],
    ["queue", "take"],
    ["rebuild-db"],
    ["doctor", "--fix"],
    ["report"],
    ["autopilot", "start", "quick-wins"],
    ["autopilot", "stop"],
    ["init", "--dataset", "world:default", "--force"],
    ["generate", "--persona", "persona_000", "--variant", "base", "--stream", "Hello"],
    ["tree", "quick-wins", "--copy", "mine"],
)


@pytest.fixture
def study(tmp_path: Path) -> Workspace:
    return study_in_the_middle(tmp_path / "study")


@pytest.mark.parametrize(
    ("how", "database"), [("told", "behind"), ("settings", "not there"), ("mounted", "torn")]
)
def test_every_command_that_looks_answers_and_nothing_is_written(
    study: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, database: str
) -> None:
    if database == "not there":
        for path in (study.database, study.data / ".results-stamp.json", study.data / ".results.lock"):
            path.unlink()
    if database == "torn":
        os.truncate(study.database, study.database.stat().st_size // 2)
    with closed(study, how):
        before = tree(study.root)
        told = [
            *LOOKS,
            ["report", "--output", str(tmp_path / "report")],
            *(["logs", one] for one in with_log(study)),
        ]
        for words in told:
            code = main([*words, "--workspace", str(study.root)])
            said = capsys.readouterr()
            assert code == 0 or words == ["doctor"], (words, said.err)
            assert "Traceback" not in said.err
            if words[0] == "compare":
                assert "unified+retrieval-3" in said.out, (
                    "what the database does not hold yet is read as well"
                )
            assert changed(before, tree(study.root)) == [], words
        assert (tmp_path / "report" / "report.html").exists()
        base = next(record.run_id for record in scan(study) if record.experiment == "base")
        for words in (*CHANGES, ["label", base, "--star"], ["delete", base]):
            code = main([*words, "--workspace", str(study.root)])
            said = capsys.readouterr()
            assert code == 1, words
            assert any(word in said.err for word in ("read-only", "takes no files")), (words, said.err)
        assert changed(before, tree(study.root)) == []


def with_log(ws: Workspace) -> list[str]:
    return [record.run_id for record in scan(ws) if (ws.run_folder(record.run_id) / "log.txt").exists()]


def test_what_is_refused_names_the_reason_and_a_mount_that_ends_is_no_reason_any_more(
    study: Workspace,
) -> None:
    with closed(study, "mounted"):
        assert unwritable(study) == study.root
        assert read_only(study)
        with pytest.raises(EngineError, match="mounted read-only, or not yours"):
            jobs.submit(study, plan(study, "hybrid"))
        with pytest.raises(EngineError, match="takes no files"):
            change_machine(study, read_only=False)
        with pytest.raises(EngineError):
            jobs.advance(study)  # a supervisor waits for the disk; it does not take this for the end
        assert store.refresh(study).taken_in
    assert not read_only(study)
    assert len(store.refresh(study).taken_in) == 1


def test_a_question_that_nobody_answered_is_not_answered_because_somebody_looks(study: Workspace) -> None:
    (question,) = folder.recent_questions(study)
    for attempt in range(2):
        before = tree(study.root)
        answer = client.look(study, question.question_id)
        assert answer.state == "failed"
        assert answer.hint == "Ask it again here."
        assert client.alive(study) is None
        assert changed(before, tree(study.root)) == [], attempt


def test_a_lock_is_asked_for_without_touching_its_file(tmp_path: Path) -> None:
    path = tmp_path / ".worker.lock"
    assert not is_held(path)
    with locked(path, what="It"):
        assert is_held(path)
    os.utime(path, (1, 1))
    assert not is_held(path)
    assert path.stat().st_mtime == 1


def test_a_viewer_takes_in_what_is_written_meanwhile_and_hinders_nobody(
    study: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READ_ONLY, "1")
    seen = {one.variant for one in store.variants(study)}
    monkeypatch.delenv(READ_ONLY)
    finish(study, "profile-prompt", per_persona=2)
    assert store.refresh(study).taken_in
    monkeypatch.setenv(READ_ONLY, "1")
    assert {one.variant for one in store.variants(study)} == seen | {"profile-prompt"}


def run_of(ws: Workspace, state: str) -> str:
    return next(record.run_id for record in scan(ws) if record.state == state)


def test_looking_settles_nothing_where_nothing_may_change(study: Workspace) -> None:
    dead = run_of(study, "lost")
    with closed(study, "told"):
        assert [check.name for check in examine(study) if check.name == f"run {dead}"]
        assert find(study, dead).state == "lost"
        assert json.loads((study.run_folder(dead) / "status.json").read_text())["state"] == "running"
