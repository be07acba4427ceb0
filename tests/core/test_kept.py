"""What is kept on disk: read only for what it was made from, never an error, never stale."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.core import kept as module
from engine.core.kept import kept
from engine.core.paths import Workspace


class Slow:
    """A reading that counts how often it was made."""

    def __init__(self, ws: Workspace) -> None:
        self.ws, self.made = ws, 0

    def ask(self, *made_from: str, told: float = 0.1) -> tuple[float, ...]:
        def make() -> tuple[float, ...]:
            self.made += 1
            return told, 1.0

        return kept(self.ws, "slow", made_from, tuple[float, ...], make)

    def ask_anew(self, *made_from: str, told: float = 0.1) -> tuple[float, ...]:
        """As another process asks."""
        module._here.clear()
        return self.ask(*made_from, told=told)


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    ws = Workspace(tmp_path)
    ws.data.mkdir()
    return Slow(ws)


def test_another_process_reads_what_was_kept_and_another_content_is_made_anew(slow: Slow) -> None:
    assert slow.ask("a", "b") == slow.ask_anew("a", "b", told=0.5) == (0.1, 1.0)
    assert slow.made == 1
    assert slow.ask("ab", "", told=0.5) == (0.5, 1.0)  # not the same texts in other places
    assert slow.ask_anew("a", "b", told=0.7) == (0.7, 1.0)  # one answer a name: nothing piles up
    assert [path.name for path in (slow.ws.data / "cache").iterdir()] == ["slow.kept"]


def test_another_code_makes_it_anew(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    slow.ask("a")
    monkeypatch.setattr(module, "_CODE", "another")
    assert slow.ask_anew("a", told=0.5) == (0.5, 1.0)


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"x\n[0.3,1.0]", None])
def test_a_damaged_one_is_made_anew(slow: Slow, damage: bytes | None) -> None:
    slow.ask("a")
    path = slow.ws.data / "cache" / "slow.kept"
    path.write_bytes(path.read_bytes().replace(b"0.1", b"0.2") if damage is None else damage)
    assert slow.ask_anew("a") == (0.1, 1.0)
    path.unlink()
    path.mkdir()
    assert slow.ask_anew("a") == (0.1, 1.0)


def test_where_nothing_can_be_written_nothing_is_kept(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONA_LAB_READ_ONLY", "1")
    assert slow.ask("a") == slow.ask("a") == slow.ask_anew("a") == (0.1, 1.0)
    assert slow.made == 2
    assert not (slow.ws.data / "cache").exists()
    monkeypatch.delenv("PERSONA_LAB_READ_ONLY")
    (slow.ws.data / "cache").write_text("in the way of the folder")
    assert slow.ask_anew("a") == (0.1, 1.0)
    os.rename(slow.ws.data, slow.ws.root / "moved")
    assert slow.ask_anew("a") == (0.1, 1.0)
    assert not slow.ws.data.exists()
