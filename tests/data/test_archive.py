"""Uploads and archives from people who mean no good, and from those who do."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.core.limits import SETTING
from engine.core.paths import Workspace
from engine.data import load_dataset, prepare, prepare_upload


def packed(files: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def contents(edgewise: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in edgewise.iterdir()}


def test_uploaded_files_and_a_zip_of_them_give_the_same_data(
    tmp_path: Path, edgewise: Path, contents: dict[str, bytes]
) -> None:
    spaces = [Workspace(tmp_path / name) for name in ("path", "files", "zip", "zip path")]
    inside = {f"persona data/{name}": content for name, content in contents.items()}
    junk = {"__MACOSX/persona data/._sessions.jsonl": b"\x00\x05", "persona data/notes.txt": b"hi"}
    zipped = packed(inside | junk)
    (tmp_path / "data.zip").write_bytes(zipped)
    cards = [
        prepare(spaces[0], dataset=edgewise),
        prepare_upload(spaces[1], contents),
        prepare_upload(spaces[2], {"data.zip": zipped}),
        prepare(spaces[3], dataset=tmp_path / "data.zip"),
    ]
    assert len({card["data_hash"] for card in cards}) == 1
    assert cards[2]["source"] == "upload of data.zip"
    assert load_dataset(spaces[2]) == load_dataset(spaces[0])
    assert [path.name for path in spaces[2].data.iterdir() if path.name.startswith(".")] == []


def test_a_flattened_file_with_its_split_can_be_uploaded(ws: Workspace, flattened: Path) -> None:
    split = b'{"persona_000": 1}'
    with pytest.raises(EngineError, match="edgesplits.json: persona_000: must be an object"):
        prepare_upload(ws, {"d.jsonl": flattened.read_bytes(), "edgesplits.json": split})
    prepare_upload(ws, {"d.jsonl": flattened.read_bytes()})
    assert len(load_dataset(ws).personas) == 6


@pytest.mark.parametrize(
    "name",
    [
        "../sessions.jsonl",
        "/etc/sessions.jsonl",
        "a/../../sessions.jsonl",
        "..\\sessions.jsonl",
        "C:\\s.jsonl",
    ],
)
def test_an_entry_that_leads_out_refuses_the_whole_archive(
    ws: Workspace, tmp_path: Path, contents: dict[str, bytes], name: str
) -> None:
    zipped = packed(contents | {name: b"{}\n"})
    with pytest.raises(EngineError, match="leads out of the archive"):
        prepare_upload(ws, {"data.zip": zipped})
    assert not ws.root.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"edgewise"}


def test_a_link_refuses_the_whole_archive(ws: Workspace, contents: dict[str, bytes]) -> None:
    buffer = io.BytesIO(packed(contents))
    with zipfile.ZipFile(buffer, "a") as target:
        link = zipfile.ZipInfo("more.jsonl")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        target.writestr(link, "/etc/passwd")
    with pytest.raises(EngineError, match=r"'more.jsonl' is a link"):
        prepare_upload(ws, {"data.zip": buffer.getvalue()})
    assert not ws.root.exists()


def test_a_bomb_is_stopped_while_it_expands(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = packed({"sessions.jsonl": b" " * 60_000_000})
    assert len(zipped) < 100_000
    with pytest.raises(EngineError, match="expands to more than 200 times"):
        prepare_upload(ws, {"data.zip": zipped})
    assert not ws.root.exists()
    monkeypatch.setenv(SETTING, "unpacked_bytes=1000")
    with pytest.raises(EngineError, match="expands to more"):
        prepare_upload(ws, {"data.zip": packed({"a.jsonl": b"x" * 600, "b.jsonl": b"x" * 600})})


def test_an_archive_that_lies_about_its_sizes_is_counted_not_believed(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped = bytearray(packed({"sessions.jsonl": b" " * 50_000}))
    for marker, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = zipped.index(marker) + offset
        zipped[place : place + 4] = (10).to_bytes(4, "little")
    monkeypatch.setenv(SETTING, "free_expansion_bytes=1000")
    with pytest.raises(EngineError):
        prepare_upload(ws, {"data.zip": bytes(zipped)})
    assert not ws.root.exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "No file was uploaded"),
        ({"../d.jsonl": b"{}"}, "not a plain file name"),
        ({"a/d.jsonl": b"{}"}, "not a plain file name"),
        ({"d\x00.jsonl": b"{}"}, "not a plain file name"),
        (
            {"d.pkl": b"cos\nsystem\n(S'true'\ntR."},
            "not a .jsonl, .json, .ndjson, .csv, .tsv, .parquet, .arrow, .gz or .zip",
        ),
        ({"d.zip": b"PK", "d.jsonl": b"{}"}, "comes with other files"),
        ({"d.zip": b"no zip at all"}, "not a zip archive that can be read"),
        ({"d.zip": packed({"readme.jsonl.txt": b"hello"})}, "holds no file of data .readme.jsonl.txt"),
        ({"d.zip": packed({"a.json/d.jsonl": b"{}", "a.json": b""})}, "holds 'a.json' twice"),
        ({"d.zip": packed({"d.jsonl": b"{}"}, compression=zipfile.ZIP_LZMA)}, "packed in an unusual way"),
    ],
)
def test_bad_uploads_get_one_clear_error(ws: Workspace, files: dict[str, bytes], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        prepare_upload(ws, files)
    assert not ws.root.exists()


def test_too_much_is_refused_before_anything_is_written(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, "upload_bytes=10")
    with pytest.raises(EngineError, match="The upload is too large"):
        prepare_upload(ws, {"d.jsonl": b"x" * 11})
    monkeypatch.setenv(SETTING, "files=2")
    with pytest.raises(EngineError, match="3 files"):
        prepare_upload(ws, {f"{number}.jsonl": b"x" for number in range(3)})


def test_an_encrypted_entry_is_refused(ws: Workspace, contents: dict[str, bytes]) -> None:
    zipped = bytearray(packed({"sessions.jsonl": contents["sessions.jsonl"]}))
    for marker, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        zipped[zipped.index(marker) + offset] |= 1
    with pytest.raises(EngineError, match="sessions.jsonl is encrypted"):
        prepare_upload(ws, {"data.zip": bytes(zipped)})


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_corrupted_zip_never_raises_anything_else(
    data: st.DataObject, made: SimpleNamespace, scratch: Callable[[], Path]
) -> None:
    rows = made.flattened_rows(3, 5)
    zipped = bytearray(packed({"d/dialogues.jsonl": made.json_lines(rows).encode()}))
    for _ in range(data.draw(st.integers(1, 4))):
        zipped[data.draw(st.integers(0, len(zipped) - 1))] = data.draw(st.integers(0, 255))
    del zipped[data.draw(st.integers(len(zipped) // 2, len(zipped))) :]
    ws = Workspace(scratch() / "space")
    try:
        prepare_upload(ws, {"data.zip": bytes(zipped)})
    except EngineError:
        assert not ws.root.exists()
