"""What --dataset may name, and how a layout is told from its files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace
from engine.data import prepare
from engine.data.hub import download
from engine.data.sources import Source, read_source

COMMIT = "a" * 40


def at(path: Path) -> Source:
    return Source(str(path), path)


@pytest.mark.parametrize("place", ["", "deeper"])
def test_layouts_are_told_from_folder_and_file(
    tmp_path: Path, edgewise: Path, flattened: Path, place: str
) -> None:
    for folder in (edgewise, flattened.parent):
        if place:
            inner = folder / place
            inner.mkdir()
            for path in [path for path in folder.iterdir() if path.is_file()]:
                path.rename(inner / path.name)
    assert read_source(at(edgewise)).importer == "edgewise"
    assert read_source(at(edgewise / place / "sessions.jsonl")).importer == "edgewise"
    assert read_source(at(flattened.parent.parent / "flat")).importer == "flattened"
    assert read_source(at(flattened.parent / place / flattened.name)).importer == "flattened"


def test_a_first_line_that_cannot_be_read_does_not_hide_the_layout(flattened: Path) -> None:
    lines = flattened.read_text(encoding="utf-8").splitlines()
    flattened.write_text("\n".join(["{", *lines[1:]]), encoding="utf-8")
    imported = read_source(at(flattened))
    assert [fault.line for fault in imported.faults] == [1]
    flattened.write_text('{"persona_id": "p', encoding="utf-8")
    assert "not valid JSON" in str(read_source(at(flattened)).faults[0])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no dataset .it is empty."),
        ({"readme.md": "hi", "model.bin": "a,b"}, "holds no dataset .model.bin, readme.md."),
        (
            {"a.jsonl": '{"question": 1, "answer": 2}'},
            "a.jsonl names no user: which column tells whose a dialogue is. Its columns: question, answer",
        ),
        ({"characters.jsonl": '{"character": "x"}'}, "characters.jsonl is not in a known layout"),
        (
            {"a.jsonl": '{"messages": []}', "b.jsonl": '{"messages": []}'},
            "several datasets: a.jsonl, b.jsonl",
        ),
        ({"x.jsonl": '{"sessions": []}'}, "x.jsonl looks like sessions.jsonl"),
    ],
)
def test_what_is_no_layout_is_said(ws: Workspace, tmp_path: Path, files: dict[str, str], words: str) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(EngineError, match=words) as caught:
        prepare(ws, dataset=folder)
    assert caught.value.hint
    assert not ws.root.exists()


def test_a_file_of_another_kind_is_no_layout(ws: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(EngineError, match="model.bin holds no row that can be read"):
        prepare(ws, dataset=path)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("nowhere.jsonl", "There is no file or folder 'nowhere.jsonl'"),
        ("./nowhere/at-all", "There is no file or folder"),
        ("", "is not in a known|holds|There is no"),
        ("x" * 5_000, "There is no file or folder"),
        ("a\x00b", "There is no file or folder"),
        ("/dev/null", "neither a file nor a folder"),
    ],
)
def test_a_path_that_leads_nowhere_is_said(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, words: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    with pytest.raises(EngineError, match=words):
        prepare(ws, dataset=dataset)
    assert not ws.root.exists()


def hub_cache(home: Path, folder: Path) -> Path:
    """Lay out a hub cache by hand as the hub's library does: a ref, a snapshot, links to blobs."""
    repository = home / "hub" / "datasets--someone--households"
    snapshot, blobs = repository / "snapshots" / COMMIT, repository / "blobs"
    for path in (snapshot, blobs, repository / "refs"):
        path.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    for number, path in enumerate(sorted(folder.iterdir())):
        (blobs / str(number)).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(Path("../../blobs") / str(number))
    return home


def test_a_hub_dataset_in_the_local_cache_is_found_offline(tmp_path: Path, edgewise: Path) -> None:
    home = hub_cache(tmp_path / "hf", edgewise)
    code = (
        "import sys; from pathlib import Path; from engine.data import prepare\n"
        "from engine.core.paths import Workspace\n"
        "from engine.core.errors import EngineError\n"
        "print(prepare(Workspace(Path(sys.argv[1])), dataset='someone/households')['counts']['dialogues'])\n"
        "try: prepare(Workspace(Path(sys.argv[2])), dataset='someone/absent')\n"
        "except EngineError as error: print(error.message)\n"
        "print('torch' in sys.modules)\n"
    )
    spaces = [tmp_path / "one", tmp_path / "two"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, spaces)],
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    counted, refused, torch = done.stdout.splitlines()
    assert counted == "60"
    assert refused.startswith("'someone/absent' is no path here, not in the local hub cache")
    assert torch == "False"
    assert spaces[0].exists()
    assert not spaces[1].exists()


def test_a_local_cache_is_enough_without_the_network(tmp_path: Path, edgewise: Path) -> None:
    home = hub_cache(tmp_path / "hf", edgewise)
    folder = download("someone/households", cache=home / "hub", offline=True).folder
    assert read_source(at(folder)).dataset == read_source(at(edgewise)).dataset
    with pytest.raises(EngineError, match="not in the local hub cache"):
        download("someone/absent", cache=home / "hub", offline=True)
    with pytest.raises(EngineError, match="neither a path nor a hub id"):
        download("some--one/x..y", cache=home / "hub", offline=True)
