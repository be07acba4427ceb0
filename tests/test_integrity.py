"""What lies on disk is what was taken in: edited files are named, refused and can be put back or taken in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main
from engine.core import integrity
from engine.core.integrity import ChangedFiles
from engine.core.machine import change_machine
from engine.core.paths import Workspace, read_json, write_json
from engine.data import prepare
from engine.data.dataset import load_dataset, load_splits
from engine.lm.recipes import read_personas
from engine.runs import jobs, manifest
from engine.runs.runfolder import read_status
from engine.show.doctor import examine
from engine.strategies.clusterings import read_clusters
from engine.strategies.plan import plan
from tests.in_process import start
from tests.workspaces import finish

CHOICES: dict[str, Any] = {"dataset": "world:default", "personas": 3, "dialogues": 6}
EDITED = {
    "dataset/dialogues.jsonl": lambda text: text.replace("light", "lamp"),
    "dataset/personas.jsonl": lambda text: text.replace("persona_001", "persona_999"),
    "dataset/card.json": lambda text: text.replace('"importer": "edgewise"', '"importer": "other"'),
    "dataset/truth.jsonl": lambda text: text.replace("light", "lamp"),
    "splits/splits.json": lambda text: text.replace('"test"', '"train"', 1),
}


@pytest.fixture
def world(counting: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A small world over a base in a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ws = Workspace(tmp_path / "w")
    prepare(ws, **CHOICES)
    change_machine(ws, training_slots=0)
    return ws


def edit(ws: Workspace, name: str) -> Path:
    path = ws.data / name
    before = path.read_text(encoding="utf-8")
    path.write_text(EDITED[name](before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    return path


@pytest.mark.parametrize("name", EDITED)
def test_an_edited_file_is_named_and_nothing_starts_on_it(world: Workspace, name: str) -> None:
    planned = plan(world, "count")
    jobs.submit(world, planned)
    path = edit(world, name)
    assert [one.path for one in integrity.changed(world)] == [path]
    with pytest.raises(ChangedFiles) as told:
        jobs.submit(world, plan(world, "gain"))
    assert str(path) in told.value.message
    assert "python -m engine init --workspace NEW --dataset" in told.value.hint
    start(world, planned.target.spec)  # a run that was queued before finds it out when it begins
    status = read_status(world.run_folder(planned.target.run_id))
    assert (status.state, str(path) in (status.error or "")) == ("failed", True)
    assert any(not check.ok and path.name in check.name for check in examine(world))


def test_readers_refuse_what_was_edited(world: Workspace) -> None:
    load_dataset(world), load_splits(world)
    edit(world, "dataset/dialogues.jsonl")
    edit(world, "splits/splits.json")
    for read in (load_dataset, load_splits):
        with pytest.raises(ChangedFiles):
            read(world)


def test_the_same_size_and_time_hide_no_edit(world: Workspace) -> None:
    import os

    path = world.dataset / "dialogues.jsonl"
    assert not integrity.changed(world)
    found = path.stat()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"the", b"eht"))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert [one.path for one in integrity.changed(world)] == [path]
    path.write_bytes(content)
    assert not integrity.changed(world)


def test_repeating_init_puts_the_files_back_also_under_runs(world: Workspace) -> None:
    jobs.submit(world, plan(world, "count"))
    for name in EDITED:
        edit(world, name)
    assert not prepare(world, **CHOICES)["unchanged"]
    assert not integrity.changed(world)
    assert prepare(world, **CHOICES)["unchanged"]
    jobs.submit(world, plan(world, "gain"))


@pytest.mark.parametrize("name", ["workspace.json", "splits/splits.json", "dataset/card.json"])
def test_repeating_init_mends_a_torn_file_under_runs(world: Workspace, name: str) -> None:
    jobs.submit(world, plan(world, "count"))
    whole = read_json(world.data / name)
    (world.data / name).write_text("{", encoding="utf-8")
    prepare(world, **CHOICES)
    assert read_json(world.data / name).keys() == whole.keys()
    assert not integrity.changed(world)


def test_edited_data_is_taken_in_as_another_dataset(world: Workspace, tmp_path: Path) -> None:
    edit(world, "dataset/dialogues.jsonl")
    other = Workspace(tmp_path / "other")
    card = prepare(other, dataset=world.dataset)
    assert card["data_hash"] != read_json(world.dataset / "card.json")["data_hash"]
    assert card["counts"]["dialogues"] == 18
    assert not (other.dataset / "truth.jsonl").exists()
    texts = [message.text for one in load_dataset(other).dialogues for message in one.messages]
    assert any("lamp" in text for text in texts)


def test_unedited_data_taken_in_again_is_the_same_data(world: Workspace, tmp_path: Path) -> None:
    card = prepare(Workspace(tmp_path / "other"), dataset=world.dataset)
    assert card["data_hash"] == read_json(world.dataset / "card.json")["data_hash"]


def test_a_workspace_of_before_is_held_against_its_data_hash(world: Workspace) -> None:
    config = read_json(world.config)
    write_json(world.config, {key: value for key, value in config.items() if "files" not in key})
    assert not integrity.changed(world)
    edit(world, "dataset/dialogues.jsonl")
    assert integrity.changed(world)


def test_a_run_launched_on_other_data_says_so(world: Workspace) -> None:
    planned = plan(world, "count")
    config = read_json(world.config)
    config["dataset"]["data_hash"] = "e" * 64
    write_json(world.config, config)
    start(world, planned.target.spec)
    status = read_status(world.run_folder(planned.target.run_id))
    assert (status.state, "other data" in (status.error or "")) == ("failed", True)


def test_a_base_whose_files_were_changed_is_named(tmp_path: Path, tiny_base: Path) -> None:
    import shutil

    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    ws = Workspace(tmp_path / "w")
    prepare(ws, **CHOICES, base=str(base))
    assert not integrity.changed_base(ws)
    path = base / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert [one.path for one in integrity.changed_base(ws)] == [path]
    with pytest.raises(ChangedFiles, match=r"tokenizer\.json was changed"):
        jobs.submit(ws, plan(ws, "base"))


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("clusters.json", read_clusters),
        ("personas.json", read_personas),
    ],
)
def test_a_result_that_was_edited_is_not_used(
    ws: Workspace, file: str, read: Callable[[Workspace, str], object]
) -> None:
    run_id = finish(ws, "count")
    clusters = {"assignment": {"a": 0}, "k": 1, "sizes": [1], "features": "x", "map": {"a": [0, 0]}}
    write_json(ws.run_folder(run_id) / "clusters.json", {**clusters, "centroids_similarity": {"a": 1.0}})
    write_json(ws.adapters(run_id) / "personas.json", {"a": [{"run": run_id, "name": "x", "weight": 1.0}]})
    manifest.write(ws, run_id)
    read(ws, run_id)
    place = ws.run_folder(run_id) if file == "clusters.json" else ws.adapters(run_id)
    path = place / file
    path.write_text(path.read_text(encoding="utf-8").replace("1.0", "2.0"), encoding="utf-8")
    with pytest.raises(ChangedFiles, match=file):
        read(ws, run_id)


def test_a_run_does_not_build_on_an_edited_upstream(ws: Workspace) -> None:
    upstream = finish(ws, "gain")
    planned = plan(ws, "after")
    assert planned.target.spec.upstream == {"over": upstream}
    (ws.run_folder(upstream) / "variants.json").write_text('{"edited": 1}', encoding="utf-8")
    start(ws, planned.target.spec)
    status = read_status(ws.run_folder(planned.target.run_id))
    assert (status.state, "variants.json" in (status.error or "")) == ("failed", True)


def test_looking_warns_and_writes_nothing_beside_the_files(
    world: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edit(world, "dataset/truth.jsonl")
    before = sorted(one for one in world.root.rglob("*"))
    assert main(["status", "--workspace", str(world.root)]) == 0
    assert f"{path} was changed or cut off" in capsys.readouterr().err.replace("\n", "")
    assert sorted(one for one in world.root.rglob("*")) == before


def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import time

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(5_000_000))
    time.sleep(0.1)
    digest = integrity.sha256(path)
    notes = list((tmp_path / "cache").rglob("*.json"))
    assert len(notes) == 1
    note = json.loads(notes[0].read_text(encoding="utf-8"))
    notes[0].write_text(json.dumps({**note, "sha256": "0" * 64}), encoding="utf-8")
    monkeypatch.setattr(integrity, "_known", {})  # another process
    assert integrity.sha256(path) == "0" * 64  # as noted: it was not read
    path.touch()
    assert integrity.sha256(path) == digest
