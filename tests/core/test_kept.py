"""What is kept on disk: read only for what it was made from, never an error, never stale."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.core import kept as module
from engine.core.kept import ENGINE, code_of, held, is_kept, kept, leave, make_room
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


def test_what_was_made_elsewhere_is_left_for_later_readers(slow: Slow) -> None:
    assert not is_kept(slow.ws, "slow", ("a",))
    assert held(slow.ws, "slow", ("a",), tuple[float, ...]) is None
    assert leave(slow.ws, "slow", ("a",), tuple[float, ...], (0.2, 1.0)) == (0.2, 1.0)
    assert is_kept(slow.ws, "slow", ("a",))
    assert not is_kept(slow.ws, "slow", ("b",))
    assert slow.ask("a") == (0.2, 1.0)
    assert slow.made == 0


def test_who_has_it_made_gets_what_later_readers_get(slow: Slow) -> None:
    form = dict[str, Any]
    made = kept(slow.ws, "told", ("a",), form, lambda: {"pair": (1, "b"), "share": 0.1})
    module._here.clear()
    again = kept(slow.ws, "told", ("a",), form, dict)
    assert made == again == {"pair": [1, "b"], "share": 0.1}


def test_code_is_told_apart_by_what_stands_in_its_files(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    one, other = tmp_path / "room" / "one.py", tmp_path / "other.py"
    one.write_text("a")
    other.write_text("a")
    before = code_of(tmp_path / "room", other)
    (tmp_path / "room" / "notes.txt").write_text("b")
    assert code_of(tmp_path / "room", other) == before
    other.write_text("b")
    assert code_of(tmp_path / "room", other) != before
    assert code_of(ENGINE) == module._CODE


def test_of_many_answers_of_one_kind_the_oldest_go(slow: Slow) -> None:
    for number in range(5):
        make_room(slow.ws, "told", most=3)
        leave(slow.ws, f"told-{number}", ("a",), int, number)
        os.utime(slow.ws.cache / f"told-{number}.kept", (number, number))
    leave(slow.ws, "other-1", ("a",), int, 1)
    assert sorted(path.stem for path in slow.ws.cache.iterdir()) == ["other-1", "told-2", "told-3", "told-4"]
