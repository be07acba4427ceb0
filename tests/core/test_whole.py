"""Folders that are there whole or not at all, and what a full disk is called by whoever meets it."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from safetensors import SafetensorError

from engine.core.paths import full_disk_told, whole


def test_a_folder_takes_the_place_of_an_older_one_in_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "ünï"
    for text in ("old", "new"):
        with whole(folder) as part:
            (part / text).touch()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in folder.parent.iterdir()] == ["ünï"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ValueError("x"), SafetensorError("x")])
def test_nothing_half_written_stays(tmp_path: Path, fault: BaseException) -> None:
    folder = tmp_path / "kept"
    with whole(folder) as part:
        (part / "old").touch()
    with pytest.raises(type(fault)):
        _fail(folder, fault)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "old"]


def test_a_full_disk_is_one_whoever_says_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as of_tensors, whole(tmp_path / "x"):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with closing(sqlite3.connect(tmp_path / "y.db")) as held:
        held.execute("pragma max_page_count = 2")
        tables = "create table a (x); create table b (x); create table c (x);"
        with pytest.raises(OSError, match="No space left") as of_database, full_disk_told(tmp_path / "y.db"):
            held.executescript(tables)
    for told, name in ((of_tensors, "x"), (of_database, "y.db")):
        assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(tmp_path / name))


def _fail(folder: Path, fault: BaseException) -> None:
    with whole(folder) as part:
        (part / "half").touch()
        raise fault
