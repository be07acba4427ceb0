"""What the check-up finds, and what it mends: torn files, half-written folders, dead runs, lost adapters."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from engine.core.errors import EngineError
from engine.core.machine import change_machine
from engine.core.paths import Workspace, read_json
from engine.results import store
from engine.runs import jobs
from engine.runs.context import RunContext
from engine.runs.processes import running
from engine.runs.records import find
from engine.runs.runfolder import Status, read_log, read_status, write_status
from engine.show.doctor import Check, examine
from engine.strategies.plan import plan
from engine.strategies.runnable import execute
from tests.workspaces import eventually, finish, held


def found(ws: Workspace, *, fix: bool = False) -> dict[str, Check]:
    return {check.name: check for check in examine(ws, fix=fix)}


def test_a_folder_in_which_no_run_began_is_removed_and_one_with_work_is_not(ws: Workspace) -> None:
    finish(ws, "count")
    write_status(ws.run_folder("count-aaaaaaaa"), Status(state="queued"))
    worked = ws.run_folder("count-bbbbbbbb") / "checkpoint"
    worked.mkdir(parents=True)
    (worked / "position.json").write_text("{}")
    before = found(ws)
    assert "doctor --fix" in before["folder count-aaaaaaaa"].hint
    assert not before["folder count-bbbbbbbb"].ok
    after = found(ws, fix=True)
    assert after["folder count-aaaaaaaa"].ok
    assert not ws.run_folder("count-aaaaaaaa").exists()
    assert (worked / "position.json").exists()
    assert after["runs"].detail == "1, of which 1 succeeded"


def test_an_unreadable_database_is_built_again_with_a_report(ws: Workspace) -> None:
    finish(ws, "gain")
    expected = store.score_table(ws, metric="embedding_similarity", split="test")
    ws.database.write_bytes(b"torn" * 1000)
    assert not found(ws)["results.duckdb"].ok
    assert found(ws, fix=True)["results.duckdb"].detail == "It was built again: 2 runs."
    assert store.score_table(ws, metric="embedding_similarity", split="test").equals(expected)


def test_a_dead_run_is_noted_as_lost(ws: Workspace) -> None:
    run_id = jobs.submit(ws, plan(ws, "count", {"ticks": 10_000, "pause": 0.05}))[0].record.run_id
    eventually(lambda: find(ws, run_id).status.done)
    status = read_status(ws.run_folder(run_id))
    for process in (status.supervisor, status.worker):
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not running(status.supervisor) and not running(status.worker))
    assert read_status(ws.run_folder(run_id)).state == "running"
    assert not found(ws, fix=True)[f"run {run_id}"].ok
    assert read_status(ws.run_folder(run_id)).state == "lost"


def test_a_torn_spec_is_written_again_by_launching_the_same_thing(ws: Workspace) -> None:
    change_machine(ws, training_slots=0)
    planned = plan(ws, "count")
    run_id = jobs.submit(ws, planned)[0].record.run_id
    spec = ws.run_folder(run_id) / "spec.json"
    spec.write_bytes(spec.read_bytes()[:100])
    assert "Launch the same thing again" in found(ws)[f"run {run_id}"].hint
    change_machine(ws, training_slots=1)
    (again,) = jobs.submit(ws, planned)
    assert (again.record.run_id, again.what) == (run_id, "resumed")  # whose it was could not be told
    assert jobs.wait(ws, [run_id], timeout_seconds=400, poll_seconds=0.1)[0].state == "succeeded"


@pytest.mark.parametrize("name", ["status.json", "log.txt", "events.jsonl"])
def test_a_torn_working_file_stops_nobody_from_going_on(ws: Workspace, name: str) -> None:
    with held(ws):
        run_id = jobs.submit(ws, plan(ws, "count", {"ticks": 4}))[0].record.run_id
        eventually(lambda: find(ws, run_id).status.done)
        jobs.cancel(ws, run_id)
    path = ws.run_folder(run_id) / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    jobs.resume(ws, run_id)
    assert jobs.wait(ws, [run_id], timeout_seconds=400, poll_seconds=0.1)[0].state == "succeeded"


def test_adapters_without_their_run_are_named_and_left(ws: Workspace) -> None:
    finish(ws, "count")
    lost = ws.adapters("unified-cccccccc") / "unified"
    lost.mkdir(parents=True)
    (lost / "adapter_config.json").write_text("{}")
    (ws.models / "base").mkdir()
    checks = found(ws, fix=True)
    assert "whose run is not in data/runs" in checks["adapters unified-cccccccc"].detail
    assert "adapters base" not in checks
    assert lost.exists()
    shutil.rmtree(ws.adapters("unified-cccccccc"))
    assert "adapters unified-cccccccc" not in found(ws)


def test_it_says_who_holds_the_machine_and_when_its_settings_are_torn(ws: Workspace) -> None:
    finish(ws, "count")
    assert found(ws)["machine"].detail == "local: cpu"
    change_machine(ws, training_slots=0, read_only=True)
    assert found(ws)["machine"].detail == "local: the queue is paused, read-only"
    (ws.data / "machine.json").write_text('{"training_slots": "many"}')
    check = found(ws)["machine"]
    assert (check.ok, "machine.json" in check.detail + check.hint) == (False, True)


def test_a_status_torn_under_a_worker_reads_as_running_and_comes_back(ws: Workspace) -> None:
    run_id = jobs.submit(ws, plan(ws, "count", {"ticks": 10_000, "pause": 0.05}))[0].record.run_id
    worker = eventually(lambda: find(ws, run_id).status.done and find(ws, run_id).status.worker)
    os.kill(worker.pid, signal.SIGSTOP)  # it cannot write its next heartbeat
    try:
        (ws.run_folder(run_id) / "status.json").write_text('{"sta')
        assert find(ws, run_id).state == "running"
        with pytest.raises(EngineError, match="cannot be resumed: it is running"):
            jobs.resume(ws, run_id)
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    eventually(lambda: read_status(ws.run_folder(run_id)).worker == worker)
    assert jobs.cancel(ws, run_id).state == "cancelled"


def test_a_run_whose_checkpoint_is_torn_starts_over_by_itself(ws: Workspace) -> None:
    with held(ws):
        run_id = jobs.submit(ws, plan(ws, "count", {"ticks": 4}))[0].record.run_id
        eventually(lambda: find(ws, run_id).status.done)
        jobs.cancel(ws, run_id)
    (ws.run_folder(run_id) / "checkpoint" / "position.json").write_text('{"do')
    jobs.resume(ws, run_id)
    assert jobs.wait(ws, [run_id], timeout_seconds=400, poll_seconds=0.1)[0].state == "succeeded"
    assert any("position.json is torn" in line for line in read_log(ws.run_folder(run_id)))


def test_a_torn_file_of_another_run_is_an_error_and_deletes_nothing(ws: Workspace) -> None:
    upstream = finish(ws, "gain")
    run_id = finish(ws, "count")
    spec = ws.run_folder(upstream) / "summary.json"
    spec.write_text("{")

    def step(context: RunContext) -> None:
        read_json(spec)

    (ws.run_folder(run_id) / "done.json").unlink()
    assert execute(ws, run_id, Status(state="running", attempt=1), do=step) == 1
    assert "summary.json is not valid JSON" in (read_status(ws.run_folder(run_id)).error or "")
    assert (ws.run_folder(run_id) / "scores.parquet").exists()
