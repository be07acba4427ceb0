"""Runs given to trackers, read back by the trackers' own libraries, where they are installed."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main
from engine.core.paths import Workspace
from engine.results import store
from engine.runs.records import scan
from engine.runs.runfolder import read_events
from engine.strategies.plan import plan
from tests.tiny_base import prepare_study
from tests.workspaces import leave


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_study(tmp_path_factory.mktemp("tracked") / "my-study", tiny_base)
    leave(ws, plan(ws, "hybrid", {"examples_per_persona": 1, "epochs": 2, "learning_rate": 0.01}))
    return ws


def run_of(ws: Workspace, experiment: str) -> str:
    return next(record.run_id for record in scan(ws) if record.experiment == experiment)


def losses(ws: Workspace, run_id: str, split: str) -> list[tuple[int, float]]:
    events = read_events(ws.run_folder(run_id))
    return [(one["step"], one["loss_nats"]) for one in events if one.get("split") == split]


def final(ws: Workspace, name: str) -> float:
    table = store.persona_means(ws, metric="embedding_similarity", split="val")
    return float(table[table["variant"] == name]["mean"].mean())


def export(ws: Workspace, tracker: str, folder: Path, *words: str) -> None:
    told = ["export-runs", str(folder), *words, "--to", tracker, "--workspace", str(ws.root), "--json"]
    assert main(told) == 0


def test_mlflow_reads_them(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: make setup-trackers")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    for _ in range(2):  # again: in the place of the first
        export(ws, "mlflow", tmp_path / "runs")
    client = MlflowClient((tmp_path / "runs").as_uri())
    (study,) = client.search_experiments()
    runs = {run.info.run_id: run for run in client.search_runs([study.experiment_id])}
    assert study.name == "my-study"
    assert set(runs) == {record.run_id for record in scan(ws)}
    hybrid, unified = run_of(ws, "hybrid"), run_of(ws, "unified")
    run = runs[hybrid]
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "2"
    assert run.data.tags["mlflow.parentRunId"] == unified
    assert run.data.tags["upstream.unified"] == unified
    assert run.data.metrics["val/embedding_similarity"] == pytest.approx(final(ws, "hybrid"))
    assert not any("test" in name for name in run.data.metrics)
    for split in ("train", "val"):
        told = client.get_metric_history(hybrid, f"loss/{split}/loss_nats")
        assert [(one.step, one.value) for one in told] == losses(ws, hybrid, split)


def test_trackio_reads_them(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="Trackio is not installed: make setup-trackers")
    from trackio import sqlite_storage
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.setattr(sqlite_storage, "TRACKIO_DIR", tmp_path)
    hybrid, unified = run_of(ws, "hybrid"), run_of(ws, "unified")
    for _ in range(2):
        export(ws, "trackio", tmp_path, hybrid)
    assert SQLiteStorage.get_projects() == ["my-study"]
    assert SQLiteStorage.get_runs("my-study") == [hybrid]
    config: dict[str, Any] = SQLiteStorage.get_run_config("my-study", hybrid) or {}
    assert (config["epochs"], config["parent"], config["_Group"]) == ("2", unified, "hybrid")
    logs = SQLiteStorage.get_logs("my-study", hybrid)
    for split in ("train", "val"):
        name = f"loss/{split}/loss_nats"
        assert [(one["step"], one[name]) for one in logs if name in one] == losses(ws, hybrid, split)
    assert logs[-1]["val/embedding_similarity"] == pytest.approx(final(ws, "hybrid"))


def records(path: Path) -> list[Any]:
    """Read a transaction log as W&B writes one, with W&B's own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    held, place, found, parts = path.read_bytes(), 7, [], b""
    assert held[:7] == b":W&B\xe1\xbe\x00"
    while place < len(held):
        if (room := 32_768 - place % 32_768) < 7:
            place += room
            continue
        check, length, kind = struct.unpack_from("<IHB", held, place)
        part = held[place + 7 : place + 7 + length]
        assert check == zlib.crc32(bytes([kind]) + part)
        place, parts = place + 7 + length, parts + part
        if kind in (1, 4):
            found.append(Record.FromString(parts))
            parts = b""
    return found


def test_wandb_reads_them(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B has no reader of offline runs in Python: the one here reads W&B's own, then the exported."""
    pytest.importorskip("wandb", reason="W&B is not installed: make setup-trackers")
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True)
    with wandb.init(mode="offline", project="theirs", dir=str(tmp_path), id="one", settings=settings) as run:
        run.log({"loss": 0.5, "long": "x" * 70_000})
    (theirs,) = tmp_path.glob("wandb/offline-run-*/run-one.wandb")
    assert [one.run.project for one in records(theirs) if one.HasField("run")][:1] == ["theirs"]
    hybrid, unified = run_of(ws, "hybrid"), run_of(ws, "unified")
    for _ in range(2):
        export(ws, "wandb", tmp_path / "out", hybrid)
    (ours,) = (tmp_path / "out").glob(f"offline-run-*-{hybrid}/run-{hybrid}.wandb")
    found = records(ours)
    assert [one.num for one in found] == list(range(1, len(found) + 1))
    (run,) = [one.run for one in found if one.HasField("run")]
    config = {one.key: json.loads(one.value_json) for one in run.config.update}
    assert (run.run_id, run.project, run.run_group) == (hybrid, "my-study", "hybrid")
    assert (config["epochs"], config["parent"]) == ("2", unified)
    steps = [
        {"_step": one.history.step.num}
        | {item.nested_key[0]: json.loads(item.value_json) for item in one.history.item}
        for one in found
        if one.HasField("history")
    ]
    for split in ("train", "val"):
        name = f"loss/{split}/loss_nats"
        assert [(one["_step"], one[name]) for one in steps if name in one] == losses(ws, hybrid, split)
    (summary,) = [one.summary for one in found if one.HasField("summary")]
    last = {one.nested_key[0]: json.loads(one.value_json) for one in summary.update}
    assert last["val/embedding_similarity"] == pytest.approx(final(ws, "hybrid"))


def test_a_step_done_again_counts_once_and_no_number_is_no_point(ws: Workspace, tmp_path: Path) -> None:
    hybrid = run_of(ws, "hybrid")
    told = (ws.run_folder(hybrid) / "events.jsonl").read_text()
    first = next(line for line in told.splitlines() if json.loads(line).get("split") == "train")
    again = {**json.loads(first), "loss_nats": 7.5, "learning_rate": float("nan")}
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(ws.root, copy.root)
    with (copy.run_folder(hybrid) / "events.jsonl").open("a") as events:
        events.write(json.dumps(again) + "\n")
    export(copy, "mlflow", tmp_path / "runs", hybrid)
    (folder,) = (tmp_path / "runs").glob(f"*/{hybrid}/metrics/loss/train")
    lines = [line.split() for line in (folder / "loss_nats").read_text().splitlines()]
    expected = dict([*losses(ws, hybrid, "train"), (again["step"], 7.5)])
    assert [(int(step), float(value)) for _, value, step in lines] == list(expected.items())
    assert "nan" not in (folder / "learning_rate").read_text()


def test_what_is_written_needs_no_library(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(ws, "mlflow", tmp_path / "runs")
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == len(scan(ws))
    hybrid = run_of(ws, "hybrid")
    lines = (
        next((tmp_path / "runs").glob(f"*/{hybrid}/metrics/loss/train/loss_nats")).read_text().splitlines()
    )
    assert [(int(line.split()[2]), float(line.split()[1])) for line in lines] == losses(ws, hybrid, "train")
    assert (
        main(["export-runs", str(tmp_path / "none"), "no-such-run", "--to", "mlflow", "-w", str(ws.root)])
        == 1
    )
    assert not (tmp_path / "none").exists()
