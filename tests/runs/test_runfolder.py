"""Specs, statuses, and what a step may say through its context."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.runs import manifest
from engine.runs.context import WRITE_SECONDS, RunContext
from engine.runs.processes import identity, place_of
from engine.runs.runfolder import (
    RunSpec,
    Status,
    alive,
    append_line,
    heartbeat_age_seconds,
    read_events,
    read_log,
    read_spec,
    read_status,
    write_spec,
    write_status,
)
from tests.workspaces import eventually, make_workspace

SPEC = RunSpec(
    experiment="count",
    version=1,
    parameters={"ticks": 3},
    seed=0,
    data_hash="d" * 64,
    base="embedded",
    stages={"load": 1.0, "count": 3.0},
)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def test_the_hash_covers_what_decides_the_outcome_and_nothing_else() -> None:
    assert SPEC.run_id == f"count-{SPEC.hash[:8]}"
    for change in (
        {"version": 2},
        {"parameters": {"ticks": 4}},
        {"seed": 1},
        {"data_hash": "e" * 64},
        {"base": "other"},
        {"base_fingerprint": "1"},
        {"upstream": {"over": "x-1"}},
        {"protocol": {"splits": ["val"]}},
    ):
        assert replace(SPEC, **change).hash != SPEC.hash, change
    same = replace(SPEC, created_at="now", versions={"torch": "9"}, estimate_seconds=3.0, changed=("ticks",))
    assert same.hash == SPEC.hash


def test_spec_and_status_come_back_as_they_were_written(tmp_path: Path) -> None:
    spec = replace(SPEC, changed=("ticks",), upstream={"over": "x-1"}, estimate_seconds=2.5)
    write_spec(tmp_path, spec)
    assert read_spec(tmp_path) == spec
    status = Status(state="running", worker=identity(), progress=0.5, seconds=2.0)
    write_status(tmp_path, status)
    assert read_status(tmp_path) == replace(status, place=place_of(tmp_path))
    assert alive(status)


TORN = ["", "{", "[]", '{"state": "dancing"}', '{"state": "running", "worker": 3}']


@pytest.mark.parametrize("content", TORN)
def test_a_torn_status_reads_as_lost_and_says_why(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    status = read_status(tmp_path)
    assert status.state == "lost"
    assert status.error


def test_values_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    write_spec(tmp_path, SPEC)
    record = json.loads((tmp_path / "spec.json").read_text())
    (tmp_path / "spec.json").write_text(json.dumps({**record, "invented_later": 1}))
    assert read_spec(tmp_path) == SPEC


def test_a_torn_spec_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"experiment": "co')
    with pytest.raises(EngineError, match="spec.json"):
        read_spec(tmp_path)


def test_progress_runs_over_the_stages_and_never_back(ws: Workspace) -> None:
    timed = replace(SPEC, expected={"load": 10.0, "count": 30.0})
    with RunContext(ws, timed) as context:
        context.progress("load", 1, 2)
        context.progress("count", 1, 2, unit="ticks")
        eventually(lambda: read_status(context.folder).stage == "count")
        status = read_status(context.folder)
        assert status.progress == pytest.approx((1 + 3 * 0.5) / 4)
        assert (status.stage, status.done, status.total, status.unit) == ("count", 1, 2, "ticks")
        assert status.eta_seconds is not None
        context.progress("load", 0, 2)
        eventually(lambda: read_status(context.folder).stage == "load")
        assert read_status(context.folder).progress == pytest.approx(0.625)
    context.end("succeeded")
    ended = read_status(context.folder)
    assert (ended.state, ended.progress, ended.eta_seconds) == ("succeeded", 1.0, None)


def test_a_silent_step_still_beats(ws: Workspace) -> None:
    with RunContext(ws, SPEC) as context:
        first = read_status(context.folder).heartbeat
        assert first is not None
        eventually(lambda: read_status(context.folder).heartbeat != first)
        age = heartbeat_age_seconds(read_status(context.folder))
    assert age is not None
    assert age < 60.0


def test_a_heartbeat_of_another_boot_has_no_age() -> None:
    status = Status(state="running")
    assert heartbeat_age_seconds(status) is None


def test_status_is_written_rarely_however_often_progress_is_told(ws: Workspace) -> None:
    with RunContext(ws, SPEC) as context:
        began, seen = time.monotonic(), set()
        done = 0
        while done < 1000 or time.monotonic() - began < 1.2:
            done += 1
            context.progress("count", done, 10_000_000)
            seen.add((context.folder / "status.json").stat().st_mtime_ns)
        seconds = time.monotonic() - began
    assert len(seen) <= 2 + seconds / WRITE_SECONDS


def test_events_carry_active_time_and_survive_a_torn_line(ws: Workspace) -> None:
    with RunContext(ws, SPEC, status=Status(state="running", seconds=100.0)) as context:
        context.event("loss", step=1, loss_nats=float("nan"))
        with (context.folder / "events.jsonl").open("a") as file:
            file.write('{"t": 3, "kin')
        context.event("loss", step=2, loss_nats=1.5)
    first, second = read_events(context.folder)
    assert first["loss_nats"] is None
    assert first["t"] >= 100.0
    assert (second["kind"], second["step"], second["loss_nats"]) == ("loss", 2, 1.5)


def test_the_end_of_a_log_is_read_without_the_rest(tmp_path: Path) -> None:
    for number in range(5000):
        append_line(tmp_path / "log.txt", f"line {number}")
    assert read_log(tmp_path, last_lines=2) == ["line 4998", "line 4999"]
    assert len(read_log(tmp_path)) == 5000
    append_line(tmp_path / "log.txt", long := "word " * 5000)
    assert read_log(tmp_path, last_lines=2) == ["line 4999", long]


def test_what_a_step_declares_ends_in_the_manifest(ws: Workspace) -> None:
    with RunContext(ws, SPEC) as context:
        context.variant("count", {"adapters": []}, family="test")
        context.variant("count", {"adapters": ["a"]}, family="test", parameters_trained=7, aliases=("other",))
        name = context.protocol({"splits": ["test"], "data_hash": "d"})
        assert context.protocol({"data_hash": "d", "splits": ["test"]}) == name
        context.summary(best_epoch=2)
        (context.adapters / "count").mkdir(parents=True)
        save_file({"w": np.ones(3)}, context.adapters / "count" / "adapter_model.safetensors")
        pd.DataFrame({"value": [0.5]}).to_parquet(context.folder / "scores.parquet")
        done = manifest.write(ws, SPEC.run_id)
    assert [entry["recipe"] for entry in done["variants"]] == [{"adapters": ["a"]}]
    assert list(done["protocols"]) == [name]
    assert done["summary"] == {"best_epoch": 2}
    assert "scores.parquet" in done["files"]
    assert not {"status.json", "log.txt", "done.json"} & set(done["files"])
    assert manifest.faults(context.folder, manifest.read(context.folder)) == []
    assert manifest.adapter_faults(ws, SPEC.run_id, done) == []
    scores = (context.folder / "scores.parquet").read_bytes()
    (context.folder / "scores.parquet").write_bytes(scores[:-4])
    (context.adapters / "count" / "adapter_model.safetensors").unlink()
    assert manifest.faults(context.folder, done) == ["scores.parquet was changed or cut off"]
    assert manifest.adapter_faults(ws, SPEC.run_id, done) == ["count/adapter_model.safetensors is missing"]
