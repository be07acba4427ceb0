"""Every door for files takes so much and no more, waits for nothing, and says the number and the remedy."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import signal
import stat
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.limits import SETTING, Limits, check_time, in_time, limits
from engine.core.paths import Workspace
from engine.data import prepare, prepare_upload
from engine.data.hub import download
from engine.results.imported.importing import import_study, import_upload
from engine.results.trees import tree_library

ROW = b'{"persona_id": "p0", "session_id": %d, "messages": [{"role": "user", "text": "Hi"}]}\n'
SCORES = json.dumps([{"persona_id": "p0", "embedding_similarity": 0.5}]).encode()


@pytest.fixture(autouse=True)
def _nothing_hangs() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError("still at it after 400 seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(400)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def packed(files: list[tuple[str, bytes]]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return held.getvalue()


def refused(attempt: Callable[[], object], words: str) -> EngineError:
    with pytest.raises(EngineError, match=words) as caught:
        attempt()
    assert caught.value.hint
    return caught.value


def test_two_uploaded_files_of_one_name_are_refused_in_words(ws: Workspace) -> None:
    twice = [("d.jsonl", ROW % 1), ("e.jsonl", ROW % 2), ("d.jsonl", ROW % 3)]
    error = refused(lambda: prepare_upload(ws, twice), r"Several files are named d\.jsonl")
    assert "zip" in error.hint
    refused(lambda: import_upload(ws, [("s.json", SCORES)] * 2), r"Several files are named s\.json")
    assert not ws.root.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x" * 300 + ".jsonl", "longer than 200 bytes"),
        ("é" * 120 + ".jsonl", "longer than 200 bytes"),
        ("CON.jsonl", "no file name on Windows"),
        ("aux.old.jsonl", "no file name on Windows"),
        ("a\x1b[31m.jsonl", "not a plain file name"),
        ("a\x9b31m.jsonl", "not a plain file name"),
        ("a\n.jsonl", "not a plain file name"),
        ("/etc/d.jsonl", "not a plain file name"),
        ("..", "not a plain file name"),
    ],
)
def test_a_name_that_is_none_everywhere_is_refused(ws: Workspace, name: str, words: str) -> None:
    refused(lambda: prepare_upload(ws, [(name, ROW % 1)]), words)
    refused(lambda: import_upload(ws, [(name.replace(".jsonl", ".json"), SCORES)]), words)
    inside = packed([(name.replace("\n", "\r"), ROW % 1)])
    refused(lambda: prepare_upload(ws, [("d.zip", inside)]), "was refused|cannot be read|twice")
    assert not ws.root.exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("files=2", r"3 files \(at most 2"),
        ("unpacked_bytes=100", r"expands to more than 200 times its size or 100 bytes"),
        ("depth=1", r"2 folders deep \(at most 1\)"),
        ("name_bytes=5", "longer than 5 bytes"),
    ],
)
def test_an_archive_has_its_limits(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, setting: str, words: str
) -> None:
    zipped = packed([(f"folder/{number}.jsonl", ROW % number) for number in range(3)])
    monkeypatch.setenv(SETTING, setting)
    refused(lambda: prepare_upload(ws, [("d.zip", zipped)]), words)
    assert not ws.root.exists()


def test_a_table_of_contents_without_end_is_not_read(ws: Workspace) -> None:
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0
    )  # fmt: skip
    table = (entry + b"a") * 100_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65_535, 65_535, len(table), 0, 0)
    refused(
        lambda: prepare_upload(ws, [("d.zip", table + end)]), r"table of contents takes 5 MB \(at most 2,000"
    )


def test_entries_that_share_their_bytes_are_refused(ws: Workspace) -> None:
    """Two entries point at the same packed bytes (Fifield, A better zip bomb, 2019)."""
    zipped = packed([("a.jsonl", b"x" * 5_000)])
    place, end = zipped.index(b"PK\x01\x02"), zipped.index(b"PK\x05\x06")
    one = zipped[place:end]
    table = one + one.replace(b"a.jsonl", b"b.jsonl")
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(table), place, 0)
    refused(lambda: prepare_upload(ws, [("d.zip", zipped[:place] + table + tail)]), "overlap|[Oo]verlapped")
    assert not ws.root.exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_an_entry_that_is_no_file_is_refused(ws: Workspace, kind: int) -> None:
    entry = zipfile.ZipInfo("d.jsonl")
    entry.external_attr = (kind | 0o644) << 16
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    refused(lambda: prepare_upload(ws, [("d.zip", held.getvalue())]), "is a link|is no ordinary file")


@pytest.mark.parametrize("name", ["characters.jsonl", "routines.jsonl", "sessions.jsonl"])
def test_a_pipe_in_a_folder_is_not_waited_for(ws: Workspace, edgewise: Path, name: str) -> None:
    (edgewise / name).unlink()
    os.mkfifo(edgewise / name)
    refused(lambda: prepare(ws, dataset=edgewise), "no ordinary file|holds no dataset|not in a known layout")
    assert not ws.root.exists()


def test_a_pipe_beside_dialogues_or_in_a_study_is_not_waited_for(
    ws: Workspace, flattened: Path, tmp_path: Path
) -> None:
    os.mkfifo(flattened.parent / "edgesplits.json")
    refused(lambda: prepare(ws, dataset=flattened), "no ordinary file")
    study = tmp_path / "results"
    study.mkdir()
    (study / "scores.json").write_bytes(SCORES)
    os.mkfifo(study / "more.json")
    assert len(import_study(ws, study).rows) == 1


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "/dev/zero", "/dev/urandom", "../outside.jsonl", "sessions.jsonl"]
)
def test_a_link_that_leads_out_of_a_folder_is_refused(
    ws: Workspace, edgewise: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "outside.jsonl").write_text("secret")
    (edgewise / "sessions.jsonl").unlink()
    (edgewise / "sessions.jsonl").symlink_to(target)
    error = refused(lambda: prepare(ws, dataset=edgewise), "leads out of|holds no dataset")
    assert "secret" not in str(error)
    study = tmp_path / "results"
    study.mkdir()
    (study / "scores.json").symlink_to("/etc/passwd")
    refused(lambda: import_study(ws, study), "leads out of")


@pytest.mark.parametrize("name", ["characters.jsonl", "routines.jsonl"])
def test_a_link_to_a_device_beside_the_sessions_is_no_file(ws: Workspace, edgewise: Path, name: str) -> None:
    (edgewise / name).unlink()
    (edgewise / name).symlink_to("/dev/urandom")
    refused(lambda: prepare(ws, dataset=edgewise), "no ordinary file")


def test_a_link_within_a_folder_is_taken(ws: Workspace, edgewise: Path) -> None:
    (edgewise / "held").mkdir()
    (edgewise / "sessions.jsonl").rename(edgewise / "held" / "all.txt")
    (edgewise / "sessions.jsonl").symlink_to("held/all.txt")
    assert prepare(ws, dataset=edgewise)["counts"]["dialogues"] > 0


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("entries=20", "more than 20 entries"),
        ("files=20", r"more than 20 \.jsonl, \.json, .* files"),
        ("lines=3", "more than 3 lines"),
        ("file_bytes=100", "more than the 100 bytes"),
        ("line_bytes=20", "longer than 20 bytes"),
        ("nesting=1", "nested deeper than 1 levels"),
    ],
)
def test_a_folder_has_its_limits(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, words: str
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1 if "=20" not in setting or setting.startswith("line") else 30):
        (folder / f"{number}.jsonl").write_bytes(b"".join(ROW % session for session in range(8)))
    monkeypatch.setenv(SETTING, setting)
    refused(lambda: prepare(ws, dataset=folder), words)
    assert not ws.root.exists()


def test_a_folder_of_a_study_has_its_limits(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "study" / "/".join("abcdefghijklm")
    deep.mkdir(parents=True)
    (deep / "scores.json").write_bytes(SCORES)
    refused(lambda: import_study(ws, tmp_path / "study"), "goes deeper than 10 folders")
    for number in range(4):
        (tmp_path / "study" / f"{number}.json").write_bytes(SCORES)
    monkeypatch.setenv(SETTING, "files=3 depth=20")
    refused(lambda: import_study(ws, tmp_path / "study"), r"more than 3 \.json and \.csv files")
    monkeypatch.setenv(SETTING, "document_bytes=10 depth=20")
    refused(lambda: import_study(ws, tmp_path / "study"), "larger than 10 bytes")
    monkeypatch.setenv(SETTING, "nesting=1 depth=20")
    refused(lambda: import_study(ws, tmp_path / "study"), "nested deeper than 1 levels")


@pytest.mark.parametrize("layout", ["flattened", "edgewise", "study"])
def test_faults_without_end_are_not_piled_up(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.setenv(SETTING, "faults=50")
    name = {"flattened": "d.jsonl", "edgewise": "sessions.jsonl", "study": "s.json"}[layout]
    if layout == "study":
        rows = json.dumps([{"persona_id": None, "param_f1": 9}] * 200).encode()
        refused(lambda: import_upload(ws, [(name, rows)]), "fault")
        return
    lines = b'{"persona_id": 1, "sessions": 1}\n' * 10_000
    error = refused(lambda: prepare_upload(ws, [(name, lines)], keep_good=True), "50 faults were found")
    assert len(getattr(error, "faults", ())) == 50
    assert not ws.root.exists()


def test_time_is_limited_at_every_door(
    ws: Workspace, edgewise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "results"
    study.mkdir()
    (study / "scores.json").write_bytes(SCORES)
    doors: tuple[Callable[[], object], ...] = (
        lambda: prepare(ws, dataset=edgewise),
        lambda: prepare_upload(ws, [("d.jsonl", ROW % 1)]),
        lambda: prepare_upload(ws, [("d.zip", packed([("d.jsonl", ROW % 1)]))]),
        lambda: import_study(ws, study),
        lambda: import_upload(ws, [("s.json", SCORES)]),
    )
    clock = iter(range(0, 10**9, 2_000))
    monkeypatch.setattr("engine.core.limits.time.monotonic", lambda: next(clock))
    for door in doors:
        error = refused(door, "longer than 900 seconds; nothing was imported")
        assert f"{SETTING}=seconds=1800" in error.hint
        assert not ws.root.exists()


def test_within_a_clock_no_second_one_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("engine.core.limits.time.monotonic", lambda: now[0])
    with in_time():
        now[0] = 800.0
        with in_time():
            now[0] = 901.0
            with pytest.raises(EngineError):
                check_time()
    check_time()


def test_a_tree_has_its_limits(ws: Workspace, edgewise: Path) -> None:
    prepare(ws, dataset=edgewise)
    refused(lambda: tree_library.save(ws, "mine", "x" * 100_001), "not sound")
    refused(lambda: tree_library.save(ws, "mine", "[" * 50_000), "not sound")
    folder = ws.data / "trees"
    folder.mkdir(exist_ok=True)
    os.mkfifo(folder / "pipe.yaml")
    (folder / "long.yaml").write_text("x: " + "y" * 2_000_000)
    broken = {entry.name: entry.error for entry in tree_library.entries(ws) if entry.error}
    assert set(broken) == {"pipe", "long"}
    assert "no ordinary file" in str(broken["pipe"])


def test_what_is_said_of_a_limit_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "seconds=3600, files=5000")
    assert limits() == Limits(seconds=3600, files=5000)
    for wrong, words in (
        ("second=1", "Did you mean 'seconds'"),
        ("files=0", "above 0"),
        ("files=x", "above 0"),
    ):
        monkeypatch.setenv(SETTING, wrong)
        with pytest.raises(EngineError, match=re.escape(words)):
            limits()


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A hub with one dataset of 3 GB, which notes what it is asked for."""
    asked = list[str]()
    told = json.dumps(
        {
            "id": "someone/huge",
            "sha": "0" * 40,
            "siblings": [{"rfilename": "sessions.jsonl", "size": 3 * 10**9, "blobId": "0" * 40}],
        }
    ).encode()

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_a_hub_dataset_that_is_too_large_is_not_downloaded(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = hub
    error = refused(
        lambda: download("someone/huge", cache=tmp_path, endpoint=address),
        r"1 file of data, 3,000 MB \(at most 2,000 files, 2,000 MB\)",
    )
    assert "hub_bytes=3000000000" in error.hint
    assert len(asked) == 1
    assert list(tmp_path.iterdir()) == []
