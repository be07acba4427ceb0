"""The list of workspaces that a user has opened: newest first, without those that are gone, never broken."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engine.core import keyring, opened, roles
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from pages.shared import studies


@pytest.fixture(autouse=True)
def _of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_workspace_is_known_until_its_folder_is_gone(tmp_path: Path) -> None:
    first, second = (Workspace(tmp_path / name / "study") for name in ("a", "b"))
    for ws in (first, second, first):
        ws.root.mkdir(parents=True, exist_ok=True)
        assert opened.remember(ws)
    assert opened.workspaces() == [first, second]
    names = {opened.name_in_address(ws) for ws in (first, second)}
    assert len(names) == 2
    assert {opened.by_address(name) for name in names} == {first, second}
    shutil.rmtree(first.root)
    assert opened.workspaces() == [second]
    assert opened.by_address(opened.name_in_address(first)) is None
    (tmp_path / "config" / "persona-lab" / "workspaces.json").write_text("[torn")
    assert opened.workspaces() == []


def test_an_address_says_which_workspace_it_is_about() -> None:
    ws = Workspace(Path("/somewhere/My Pilot"))
    name = opened.name_in_address(ws)
    assert name.startswith("my-pilot-")
    assert studies.named(f"http://localhost:8501/{studies.address('compare', ws)}") == name
    assert studies.named(f"http://localhost:8501/{studies.address('', ws)}") == name
    for plain in ("http://localhost:8501/compare", "http://localhost:8501/", None, "http://x/a.b.compare"):
        assert studies.named(plain) == ""


def test_a_new_study_is_a_new_folder_or_a_workspace(tmp_path: Path) -> None:
    made = studies.begin(f" {tmp_path / 'new'} ")
    assert opened.workspaces() == [made] == [Workspace(tmp_path / "new")]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    for folder in ("relative/folder", str(tmp_path / "other")):
        with pytest.raises(EngineError):
            studies.begin(folder)


def test_a_kept_key_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keyring.keep("OPENAI_API_KEY", " sk-kept ")
    assert keyring.key_of("OPENAI_API_KEY") == "sk-kept"
    assert keyring.held()["OPENAI_API_KEY"] == "sk-kept"
    assert os.stat(keyring.kept_in()).st_mode & 0o777 == 0o600
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    assert keyring.key_of("OPENAI_API_KEY") == "sk-environment"
    for name, value in (("PATH", "x"), ("OPENAI_API_KEY", " "), ("OPENAI_API_KEY", "two words")):
        with pytest.raises(EngineError):
            keyring.keep(name, value)
    monkeypatch.setattr(roles, "_who", lambda: "run")
    with pytest.raises(EngineError, match="takes the role"):
        keyring.keep("OPENAI_API_KEY", "sk-other")
    monkeypatch.setattr(roles, "_who", lambda: "own")
    keyring.drop("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert keyring.key_of("OPENAI_API_KEY") is None
