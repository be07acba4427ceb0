"""Which code of a user's own may run: what she approved, where it was, as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engine.cli import main
from engine.core import extensions
from engine.core.errors import EngineError
from engine.core.machine import change_machine, read_machine
from engine.core.paths import Workspace
from tests.workspaces import make_workspace


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return make_workspace(tmp_path / "study")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('x')\nSTRATEGY = 'mine'\n", encoding="utf-8")
    return path


def _defined(ws: Workspace) -> list[str]:
    return [value for _, value in extensions.defined(ws, "STRATEGY")]


def test_a_named_file_runs_only_once_approved(ws: Workspace, own: Path, tmp_path: Path) -> None:
    found = extensions.name_file(ws, own)
    assert (found.state, _defined(ws), (tmp_path / "ran").exists()) == ("not approved", [], False)
    with pytest.raises(EngineError, match="not approved") as refused:
        extensions.load(found)
    assert f"less {own}" in refused.value.hint
    assert f"machine --approve {own}" in refused.value.hint
    extensions.approve(ws, own)
    assert (_defined(ws), _defined(ws)) == (["mine"], ["mine"])
    assert (tmp_path / "ran").read_text(encoding="utf-8") == "x"  # once in a process
    assert extensions.waiting(ws) == ()


def test_a_changed_file_needs_another_look(ws: Workspace, own: Path) -> None:
    before = extensions.name_file(ws, own)
    approved = extensions.approve(ws, own, sha256=before.sha256[:12])
    own.write_text("STRATEGY = 'other'\n", encoding="utf-8")
    assert _defined(ws) == []
    with pytest.raises(EngineError, match="not approved"):
        extensions.load(approved)
    with pytest.raises(EngineError, match="changed since you looked"):
        extensions.approve(ws, own, sha256=before.sha256[:12])
    extensions.approve(ws, own)
    assert _defined(ws) == ["other"]


def test_a_copied_workspace_runs_nothing(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = ws.data / "own.py"
    inside.write_text("STRATEGY = 'mine'\n", encoding="utf-8")
    extensions.name_file(ws, inside)
    extensions.approve(ws, inside)
    assert ws.root.resolve() not in extensions.approvals_file().parents
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "somebody else's"))
    assert _defined(ws) == []
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shutil.move(ws.root, tmp_path / "copy")
    assert _defined(Workspace(tmp_path / "copy")) == []


@pytest.mark.parametrize("place", ["pipe.py", "zero.py", "folder.py"])
def test_nothing_is_waited_for_or_read_without_end(ws: Workspace, place: str) -> None:
    """Settings that came with a folder may name anything."""
    os.mkfifo(ws.root / "pipe.py")
    (ws.root / "folder.py").mkdir()
    (ws.root / "zero.py").symlink_to("/dev/zero")
    change_machine(ws, extensions=(place,))
    assert [one.state for one in extensions.waiting(ws)] == ["missing"]
    with pytest.raises(EngineError, match="cannot be read"):
        extensions.approve(ws, place)


def test_missing_and_faulty_files_are_told_with_the_remedy(ws: Workspace, own: Path) -> None:
    with pytest.raises(EngineError, match="no Python file"):
        extensions.name_file(ws, own.with_suffix(".txt"))
    with pytest.raises(EngineError, match="do not name"):
        extensions.approve(ws, own)
    own.write_text("raise ValueError('no good')\n", encoding="utf-8")
    extensions.name_file(ws, own)
    extensions.approve(ws, own)
    with pytest.raises(EngineError, match="ValueError: no good") as failed:
        _defined(ws)
    assert "--forget" in failed.value.hint
    own.unlink()
    assert [one.state for one in extensions.waiting(ws)] == ["missing"]
    extensions.forget_file(ws, own)
    assert read_machine(ws).extensions == ()


def test_the_command_line_names_approves_and_forgets(
    ws: Workspace, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*words: str) -> str:
        assert main(["machine", *words, "--workspace", str(ws.root)]) == 0
        said = capsys.readouterr()
        return said.out + said.err

    told = call("--extension", str(own))
    assert "not approved" in told
    assert f"machine --approve {own}" in told
    assert f"{own}: approved" in call("--approve", str(own))
    assert str(own) not in call("--forget", str(own))
