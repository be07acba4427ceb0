"""The queue with real processes: what happens when they are killed, cancelled, resumed and doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace, read_json
from engine.runs import jobs, supervisor, worker
from engine.runs.processes import running
from engine.runs.records import RunRecord, find, scan
from engine.runs.runfolder import Status, read_events, read_log, read_status, write_status
from engine.strategies.plan import plan
from engine.strategies.runnable import REGISTERED
from tests.runs.launching import at_work, launch
from tests.workspaces import eventually, held

WAIT = 400.0


def end_of(ws: Workspace, *run_ids: str) -> list[RunRecord]:
    return jobs.wait(ws, run_ids, timeout_seconds=WAIT, poll_seconds=0.1)


def test_a_queue_goes_on_by_itself_after_its_first_worker_is_killed(ws: Workspace) -> None:
    first = launch(ws, ticks=10_000, pause=0.05)
    others = [launch(ws, ticks=2), launch(ws, ticks=4)]
    assert [find(ws, run_id).state for run_id in others] == ["queued", "queued"]
    os.kill(at_work(ws, first).pid or 0, signal.SIGKILL)
    # Only the folders are read here: nobody but the supervisors moves the queue.
    results = [ws.run_folder(run_id) / "done.json" for run_id in others]
    eventually(lambda: all(path.exists() for path in results), timeout_seconds=WAIT)
    killed = read_status(ws.run_folder(first))
    assert (killed.state, killed.signal, killed.exit_code) == ("lost", "SIGKILL", -9)
    assert "ended by SIGKILL, as a machine does where its memory runs out" in (killed.error or "")
    assert "starts: count 1" in (killed.error or "")
    assert [record.state for record in end_of(ws, *others)] == ["succeeded", "succeeded"]
    assert find(ws, others[0]).order < find(ws, others[1]).order


def test_a_run_outlives_the_program_that_launched_it(ws: Workspace) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from engine.core.paths import Workspace; from engine.runs import jobs\n"
        "from engine.strategies import registry; from engine.strategies.plan import plan\n"
        "from tests.experiments_for_tests import EXPERIMENTS\n"
        "registry.EXPERIMENTS.update(EXPERIMENTS); ws = Workspace(Path(sys.argv[1]))\n"
        "for ticks in (20, 2): jobs.submit(ws, plan(ws, 'count', {'ticks': ticks, 'pause': 0.05}))\n"
    )
    command = [sys.executable, "-c", program, str(ws.root)]
    # The launching program has its own session, which is killed as when a terminal closes.
    launcher = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    assert launcher.wait(timeout=WAIT) == 0
    with suppress(ProcessLookupError):
        os.killpg(launcher.pid, signal.SIGHUP)
    folders = [ws.run_folder(record.run_id) for record in scan(ws)]
    assert len(folders) == 2
    eventually(lambda: all((folder / "done.json").exists() for folder in folders), timeout_seconds=WAIT)


def test_a_look_at_a_queue_that_cannot_be_moved_shows_it_all_the_same(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = launch(ws, ticks=10_000, pause=0.05)
    before = at_work(ws, run_id).status
    for process in (before.supervisor, before.worker):
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not running(before.worker) and not running(before.supervisor))
    (ws.runs / ".queue.lock").unlink()
    (ws.runs / ".queue.lock").mkdir()  # nobody can lock a folder
    assert [record.state for record in jobs.list_runs(ws)] == ["lost"]
    assert "could not be moved" in caplog.text
    (ws.runs / ".queue.lock").rmdir()


def test_cancel_leaves_a_checkpoint_and_no_process_and_resume_goes_on_from_it(ws: Workspace) -> None:
    with held(ws):
        run_id = launch(ws, ticks=4)
        before = at_work(ws, run_id)
        cancelled = jobs.cancel(ws, run_id)
    assert cancelled.state == "cancelled"
    assert cancelled.pid is None
    assert not running(before.status.worker)
    assert not running(before.status.supervisor)
    counted = read_json(ws.run_folder(run_id) / "checkpoint" / "position.json")["done"]
    assert counted == 1
    with pytest.raises(EngineError, match="cannot be cancelled: it has been cancelled"):
        jobs.cancel(ws, run_id)
    jobs.resume(ws, run_id)
    assert end_of(ws, run_id)[0].state == "succeeded"
    starts = [event for event in read_events(ws.run_folder(run_id)) if event["kind"] == "start"]
    assert [event["at"] for event in starts] == [0, counted]
    assert starts[1]["t"] > starts[0]["t"]
    assert find(ws, run_id).status.attempt == 2
    with pytest.raises(EngineError, match="cannot be resumed: it has succeeded"):
        jobs.resume(ws, run_id)


def test_a_deaf_worker_is_killed_after_the_grace_period(ws: Workspace) -> None:
    run_id = launch(ws, ticks=10_000, pause=0.05, ending="deaf")
    before = at_work(ws, run_id)
    began = time.monotonic()
    assert jobs.cancel(ws, run_id, grace_seconds=0.5).state == "cancelled"
    assert time.monotonic() - began >= 0.5
    assert not running(before.status.worker)


def test_a_queued_run_is_cancelled_without_ever_starting(ws: Workspace) -> None:
    first, second = launch(ws, ticks=10_000, pause=0.05), launch(ws, ticks=2)
    assert jobs.cancel(ws, second).state == "cancelled"
    assert find(ws, first).state == "running"
    assert read_log(ws.run_folder(second)) == []


def test_launching_twice_gives_one_run(ws: Workspace) -> None:
    planned = plan(ws, "count", {"ticks": 10_000, "pause": 0.05})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: jobs.submit(ws, planned)[0], range(8)))
    assert sorted(answer.what for answer in answers) == ["exists"] * 7 + ["queued"]
    assert len(list(ws.runs.glob("count-*"))) == 1
    run_id = planned.target.run_id
    assert at_work(ws, run_id).status.attempt == 1
    jobs.cancel(ws, run_id)
    resumed = jobs.submit(ws, planned)[0]
    assert (resumed.what, resumed.record.state) == ("resumed", "running")


def test_a_run_whose_pid_was_reused_is_lost_at_the_next_look(ws: Workspace) -> None:
    run_id = launch(ws, ticks=10_000, pause=0.05)
    before = at_work(ws, run_id).status
    assert before.supervisor is not None
    assert before.worker is not None
    os.kill(before.supervisor.pid, signal.SIGKILL)
    os.kill(before.worker.pid, signal.SIGKILL)
    eventually(lambda: not running(before.worker) and not running(before.supervisor))
    # This test's own process stands for the stranger that got the pid.
    stranger = replace(before.worker, pid=os.getpid())
    write_status(ws.run_folder(run_id), replace(before, worker=stranger, supervisor=stranger))
    record = next(record for record in jobs.list_runs(ws) if record.run_id == run_id)
    assert record.state == "lost"
    assert record.pid is None
    assert read_status(ws.run_folder(run_id)).state == "lost"


def test_a_run_that_dies_of_a_fault_says_where_and_lists_no_modules(ws: Workspace) -> None:
    run_id = launch(ws, ticks=10_000, pause=0.05)
    os.kill(at_work(ws, run_id).pid or 0, signal.SIGSEGV)
    (ended,) = end_of(ws, run_id)
    assert ended.state == "failed"
    assert "ended by SIGSEGV" in (ended.error or "")
    assert 'File "' in (ended.error or "")
    assert "Extension modules" not in (ended.error or "")


def test_a_run_outlives_its_supervisor_and_moves_the_queue_in_its_place(ws: Workspace) -> None:
    with held(ws):
        run_id, follower = launch(ws, ticks=3), launch(ws, ticks=2)
        before = at_work(ws, run_id).status
        assert before.supervisor is not None
        os.kill(before.supervisor.pid, signal.SIGKILL)
        eventually(lambda: not running(before.supervisor))
        assert find(ws, run_id).state == "running"
    # Only the folders are read here: nobody looks, so the worker itself must start what comes next.
    done = ws.run_folder(follower) / "done.json"
    eventually(done.exists, timeout_seconds=WAIT)
    assert [record.state for record in end_of(ws, run_id, follower)] == ["succeeded", "succeeded"]


def test_a_dead_run_is_lost_even_where_its_supervisor_cannot_say_so(ws: Workspace) -> None:
    run_id = launch(ws, ticks=10_000, pause=0.05)
    status = at_work(ws, run_id).status
    assert status.supervisor is not None
    os.kill(status.supervisor.pid, signal.SIGSTOP)
    try:
        os.kill(status.worker.pid if status.worker else 0, signal.SIGKILL)
        eventually(lambda: find(ws, run_id).state == "lost")
        assert jobs.list_runs(ws)[0].state == "lost"
        assert read_status(ws.run_folder(run_id)).state == "lost"
    finally:
        os.kill(status.supervisor.pid, signal.SIGCONT)
    eventually(lambda: not running(status.supervisor))
    assert read_status(ws.run_folder(run_id)).signal == "SIGKILL"  # it could say so after all


def test_a_supervisor_waits_until_the_disk_takes_what_it_has_to_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice there is a folder where the file should be; then somebody makes room."""
    place = tmp_path / "status.json"
    place.mkdir()
    tries = []

    def record() -> str:
        tries.append(1)
        if len(tries) == 3:
            place.rmdir()
        place.write_text("ended")
        return "done"

    assert supervisor.patiently(record, "The end could not be recorded") == "done"
    assert (len(tries), place.read_text()) == (3, "ended")
    assert capsys.readouterr().out.count("The end could not be recorded") == 1


def test_a_worker_stopped_from_outside_is_lost_and_not_cancelled(ws: Workspace) -> None:
    run_id = launch(ws, ticks=10_000, pause=0.05)
    os.kill(at_work(ws, run_id).pid or 0, signal.SIGTERM)
    record = end_of(ws, run_id)[0]
    assert record.state == "lost"
    assert "from outside" in (record.error or "")


@pytest.mark.parametrize(
    ("ending", "error", "hint"),
    [
        ("badly", "ValueError: the sum is wrong", "engine logs"),
        ("with a hint", "There is nothing to count.", "Give it something."),
        ("by exit", "exit code 7", "engine resume"),
    ],
)
def test_a_failure_says_what_happened_and_what_to_do(
    ws: Workspace, ending: str, error: str, hint: str
) -> None:
    record = end_of(ws, launch(ws, ending=ending))[0]
    assert record.state == "failed"
    assert error in (record.error or "")
    assert hint in (record.status.hint or "")
    assert "Traceback" not in (record.error or "")
    logged = "\n".join(read_log(ws.run_folder(record.run_id)))
    assert ("Traceback" in logged) == (ending == "badly")


def test_what_needs_a_failed_run_is_blocked_and_resuming_it_resumes_both(ws: Workspace) -> None:
    gain = plan(ws, "gain", {"ending": "with a hint"})
    jobs.submit(ws, gain)
    after = jobs.submit(ws, plan(ws, "after"))[-1].record
    assert after.spec is not None
    assert after.spec.upstream == {"over": gain.target.run_id}
    record = end_of(ws, after.run_id)[0]
    assert (record.state, record.blocked, record.waiting_for) == ("queued", True, (gain.target.run_id,))
    jobs.resume(ws, after.run_id)
    record = end_of(ws, after.run_id)[0]
    assert record.blocked
    assert find(ws, gain.target.run_id).status.attempt == 2


def test_a_worker_of_an_older_attempt_leaves_the_run_alone(ws: Workspace) -> None:
    planned = plan(ws, "count")
    jobs.submit(ws, planned)
    assert end_of(ws, planned.target.run_id)[0].state == "succeeded"
    folder = ws.run_folder(planned.target.run_id)
    write_status(folder, Status(state="running", attempt=3))
    events = read_events(folder)
    assert worker.work(ws, planned.target.run_id, 2, REGISTERED) == 1
    assert read_events(folder) == events


def test_looking_at_an_empty_workspace_makes_nothing(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "nothing")
    assert jobs.list_runs(ws) == []
    assert not ws.root.exists()


def test_many_runs_are_listed_quickly(ws: Workspace) -> None:
    spec = plan(ws, "count").target.spec
    for number in range(1000):
        one = replace(spec, seed=number)
        folder = ws.run_folder(one.run_id)
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps(asdict(one)))
        (folder / "status.json").write_text(json.dumps({"state": "failed", "order": number}))
    began = time.process_time()
    records = jobs.list_runs(ws)
    assert time.process_time() - began < 1.5
    assert [record.spec.seed for record in records if record.spec] == list(range(1000))
