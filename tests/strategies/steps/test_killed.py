"""Real worker processes ended by SIGKILL in the middle of their work leave the same in the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import find, scan
from engine.runs.runfolder import Status, read_events, read_status, write_spec, write_status
from engine.strategies.plan import Plan, plan
from engine.strategies.runnable import execute
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

# Long enough to be caught at it: some hundred steps and a dozen batches of replies.
PARAMETERS = {
    "epochs": 10,
    "patience": None,
    "batch_size": 1,
    "dropout": 0.1,
    "examples_per_persona": 40,
    "max_new_tokens": 32,
}
WAIT = 600.0


@pytest.fixture
def ws(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    ws = prepare_study(tmp_path / "killed", tiny_base, personas=6)
    yield ws
    for record in scan(ws):
        if record.state in ("queued", "running"):
            jobs.cancel(ws, record.run_id, grace_seconds=0.0)


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.01)


def kill(ws: Workspace, run_id: str, when: Callable[[], bool]) -> None:
    """Send SIGKILL to the run's worker once `when` holds, and wait until the run is known to be lost."""
    wait_for(when)
    worker = read_status(ws.run_folder(run_id)).worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(
        lambda: find(ws, run_id).state == "lost" and read_status(ws.run_folder(run_id)).signal is not None
    )


def unified_alone(ws: Workspace) -> Plan:
    """A plan of the unified run without the base model's scores beside it."""
    return Plan("unified", (plan(ws, "unified", PARAMETERS).target,))


def test_killed_in_training_and_in_evaluation_a_run_ends_like_one_left_alone(
    tiny_base: Path, ws: Workspace, tmp_path: Path
) -> None:
    (submitted,) = jobs.submit(ws, unified_alone(ws))
    run_id = submitted.record.run_id
    folder = ws.run_folder(run_id)

    def steps_done() -> int:
        return max((event["step"] for event in read_events(folder) if event["kind"] == "loss"), default=0)

    kill(ws, run_id, lambda: steps_done() > 40)
    killed_at = steps_done()
    assert not (ws.adapters(run_id) / "unified").exists(), "training had ended before the kill"

    jobs.resume(ws, run_id)
    replies = folder / "replies-unified.jsonl"
    kill(ws, run_id, lambda: replies.exists() and replies.read_text().count("\n") >= 2)
    assert not (folder / "scores.parquet").exists(), "evaluation had ended before the kill"
    kept = replies.read_text().splitlines()

    jobs.resume(ws, run_id)
    (record,) = jobs.wait(ws, [run_id], timeout_seconds=WAIT, poll_seconds=0.1)
    assert (record.state, record.status.attempt) == ("succeeded", 3)
    steps = [event["step"] for event in read_events(folder) if event.get("split") == "train"]
    total = max(steps)
    assert 1 < steps[steps.index(killed_at) + 1] <= killed_at, "training began anew instead of going on"
    assert len(steps) < total + killed_at
    assert len(kept) >= 2

    torch.set_num_threads(1)
    quiet = prepare_study(tmp_path / "quiet", tiny_base, personas=6)
    spec = unified_alone(quiet).target.spec
    assert spec.run_id == run_id
    write_status(quiet.run_folder(run_id), Status(state="running", attempt=1))
    write_spec(quiet.run_folder(run_id), spec)
    assert execute(quiet, run_id, Status(state="running", attempt=1)) == 0

    name = "unified/adapter_model.safetensors"
    assert (ws.adapters(run_id) / name).read_bytes() == (quiet.adapters(run_id) / name).read_bytes()
    ours, theirs = (scores_of(one, run_id) for one in (ws, quiet))
    pd.testing.assert_frame_equal(
        ours.drop(columns="seconds"), theirs.drop(columns="seconds"), check_exact=True
    )
