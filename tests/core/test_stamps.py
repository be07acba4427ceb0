"""What is told of files without reading them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.core.paths import read_text
from engine.core.stamps import grown, held, stamp, weight_bytes


def test_a_stamp_changes_with_what_is_written_and_with_who_takes_the_place(tmp_path: Path) -> None:
    file, other = tmp_path / "a.jsonl", tmp_path / "b"
    assert (stamp(file), grown(file)) == (None, 0)
    file.write_text("one\n")
    first = stamp(file)
    with file.open("a") as more:
        more.write("two\n")
    second = stamp(file)
    assert second != first
    assert grown(file) == 8
    other.write_text("one\ntwo\n")
    other.replace(file)
    assert stamp(file) not in (None, first, second)


def test_what_a_place_holds_counts_every_file_below_and_no_target_of_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.safetensors").write_bytes(b"x" * 100)
    (folder / "deep" / "b.txt").write_bytes(b"x" * 10)
    outside = tmp_path / "outside"
    outside.write_bytes(b"x" * 10_000)
    assert held(folder) == (110, 2)
    assert held(outside) == (10_000, 1)
    assert held(tmp_path / "none") == (0, 0)
    assert weight_bytes(folder) == 100
    (folder / "link").symlink_to(outside)
    assert held(folder)[0] < 1_000


def test_a_small_file_is_read_once_until_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = tmp_path / "settings.json", []
    taken = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *told, **more: opened.append(path) or taken(path, *told, **more)
    )
    file.write_text("one")
    time.sleep(0.06)  # its times have moved on
    assert [read_text(file) for _ in range(3)] == ["one"] * 3
    assert opened.count(file) == 1
    for said in ("two", "six", "ten"):  # each of one length, one after another within one tick
        file.write_text(said)
        assert read_text(file) == said
    other = tmp_path / "other"
    other.write_text("new")
    other.replace(file)
    assert read_text(file) == "new"
    file.unlink()
    with pytest.raises(FileNotFoundError):
        read_text(file)
