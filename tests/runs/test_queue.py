"""The queue's order, its slots and its leases, and runs started over or cloned: with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.machine import Machine, change_machine, read_machine
from engine.core.paths import REPOSITORY, Workspace, read_json
from engine.runs import jobs, leases, slots
from engine.runs.launchers import local
from engine.runs.processes import group_memory_bytes, running
from engine.runs.records import find, scan
from engine.runs.runfolder import read_status
from engine.strategies.cloning import clone
from tests.runs.launching import at_work, launch
from tests.workspaces import eventually, finish, held

WAIT = 400.0


@pytest.fixture(autouse=True)
def leases_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(leases.FOLDER, str(tmp_path / "leases"))


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process count two GPUs; the runs that it starts are told by name which one is theirs."""
    monkeypatch.setattr(slots, "gpus", lambda: ("gpu-a", "gpu-b"))


def waiting(ws: Workspace) -> list[str]:
    return [record.run_id for record in scan(ws) if record.state == "queued"]


def test_a_queued_run_is_moved_and_the_others_keep_their_order(ws: Workspace) -> None:
    change_machine(ws, training_slots=0)
    a, b, c, d = (launch(ws, ticks=ticks) for ticks in (2, 3, 4, 5))
    assert waiting(ws) == [a, b, c, d]
    jobs.move(ws, c)
    assert waiting(ws) == [c, a, b, d]
    jobs.move(ws, a, before=d)
    assert waiting(ws) == [c, b, a, d]
    jobs.move(ws, c, last=True)
    assert waiting(ws) == [b, a, d, c]
    jobs.cancel(ws, d)
    with pytest.raises(EngineError, match="not in the queue: it has been cancelled"):
        jobs.move(ws, d)
    with pytest.raises(EngineError, match="not in the queue: it has been cancelled"):
        jobs.move(ws, a, before=d)


def test_what_a_run_needs_moves_with_it_and_never_stands_behind_it(ws: Workspace) -> None:
    change_machine(ws, training_slots=0)
    first = launch(ws, ticks=2)
    after = launch(ws, "after")
    gain = next(record.run_id for record in scan(ws) if record.experiment == "gain")
    assert waiting(ws) == [first, gain, after]
    jobs.move(ws, after)
    assert waiting(ws) == [gain, after, first]
    jobs.move(ws, gain, last=True)
    assert waiting(ws) == [first, gain, after]
    with pytest.raises(EngineError, match="cannot stand before"):
        jobs.move(ws, after, before=gain)


def test_the_queue_runs_in_the_order_it_was_given(ws: Workspace) -> None:
    change_machine(ws, training_slots=0)
    runs = [launch(ws, ticks=ticks) for ticks in (2, 3, 4)]
    jobs.move(ws, runs[2])
    change_machine(ws, training_slots=1)
    jobs.advance(ws)
    jobs.wait(ws, runs, timeout_seconds=WAIT, poll_seconds=0.1)
    started = sorted(runs, key=lambda run_id: read_status(ws.run_folder(run_id)).started_at or "")
    assert started == [runs[2], runs[0], runs[1]]


def test_two_training_slots_let_two_runs_work_at_once(ws: Workspace) -> None:
    change_machine(ws, training_slots=2)
    runs = [launch(ws, ticks=10_000 + extra, pause=0.05) for extra in range(3)]
    for run_id in runs[:2]:
        assert at_work(ws, run_id).status.device == slots.CPU
    assert find(ws, runs[2]).state == "queued"
    jobs.cancel(ws, runs[0])
    at_work(ws, runs[2])


def test_a_queue_of_three_goes_on_when_its_first_worker_is_killed_and_nothing_else_is_there(
    ws: Workspace,
) -> None:
    """The program that launched them is gone; nobody looks; only the folders are read here."""
    program = (
        "import sys; from pathlib import Path\n"
        "from engine.core.paths import Workspace; from engine.runs import jobs\n"
        "from engine.strategies import registry; from engine.strategies.plan import plan\n"
        "from tests.experiments_for_tests import EXPERIMENTS\n"
        "registry.EXPERIMENTS.update(EXPERIMENTS); ws = Workspace(Path(sys.argv[1]))\n"
        "for ticks, pause in ((9000, 0.05), (2, 0.0), (3, 0.0)):\n"
        "    jobs.submit(ws, plan(ws, 'count', {'ticks': ticks, 'pause': pause}))\n"
    )
    command = [sys.executable, "-c", program, str(ws.root)]
    assert subprocess.run(command, cwd=REPOSITORY, start_new_session=True, check=False).returncode == 0
    first, *others = [record.run_id for record in scan(ws)]
    status = at_work(ws, first).status
    assert status.worker is not None
    os.kill(status.worker.pid, signal.SIGKILL)
    eventually(
        lambda: all((ws.run_folder(run_id) / "done.json").exists() for run_id in others), timeout_seconds=WAIT
    )
    assert read_status(ws.run_folder(first)).state == "lost"


def test_each_gpu_has_one_run_and_its_holder_is_shown(ws: Workspace, two_gpus: None) -> None:
    runs = [launch(ws, ticks=10_000 + extra, pause=0.05) for extra in range(3)]
    found = {run_id: at_work(ws, run_id).status for run_id in runs[:2]}
    assert [found[run_id].device for run_id in runs[:2]] == ["gpu-a", "gpu-b"]
    assert find(ws, runs[2]).state == "queued"
    assert {device: who.what for device in ("gpu-a", "gpu-b") if (who := leases.holder(device))} == {
        "gpu-a": runs[0],
        "gpu-b": runs[1],
    }
    os.kill(found[runs[0]].worker.pid, signal.SIGKILL)  # type: ignore[union-attr]
    # A supervisor counts the real GPUs, so the look of this process moves the queue.
    eventually(lambda: [one.state for one in jobs.list_runs(ws) if one.run_id == runs[2]] == ["running"])
    assert at_work(ws, runs[2]).status.device == "gpu-a"
    assert (who := leases.holder("gpu-a")) is not None
    assert who.what == runs[2]


def test_a_run_waits_for_a_gpu_that_something_else_holds_and_says_so(ws: Workspace, two_gpus: None) -> None:
    with leases.lease("gpu-a", what="another study"):
        run_id = launch(ws, ticks=3)
        eventually(lambda: "held by another study" in find(ws, run_id).status.stage)
        assert find(ws, run_id).state == "running"
        with (
            pytest.raises(EngineError, match="held by another study"),
            leases.lease("gpu-a", what="a second"),
        ):
            pass
    (record,) = jobs.wait(ws, [run_id], timeout_seconds=WAIT, poll_seconds=0.1)
    assert record.state == "succeeded"
    assert leases.holder("gpu-a") is None


def test_a_run_that_waits_for_a_gpu_can_be_cancelled(ws: Workspace, two_gpus: None) -> None:
    with leases.lease("gpu-a", what="another study"):
        run_id = launch(ws, ticks=3)
        eventually(lambda: "held by another study" in find(ws, run_id).status.stage)
        assert jobs.cancel(ws, run_id).state == "cancelled"


def test_a_holder_that_was_killed_holds_nothing() -> None:
    program = (
        "import time; from engine.runs.leases import lease\nwith lease('gpu-a', what='x'): time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY)
    eventually(lambda: leases.holder("gpu-a"))
    child.kill()
    child.wait()
    assert leases.holder("gpu-a") is None
    with leases.lease("gpu-a", what="the next"):
        assert (who := leases.holder("gpu-a")) is not None
        assert who.what == "the next"


def test_starting_over_forgets_what_was_done_and_resuming_does_not(ws: Workspace) -> None:
    with held(ws):
        run_id = launch(ws, ticks=4)
        at_work(ws, run_id)
        cancelled = jobs.cancel(ws, run_id)
    assert (cancelled.status.freed_bytes or 0) > 1_000_000, "a Python process holds more than a megabyte"
    folder = ws.run_folder(run_id)
    assert read_json(folder / "checkpoint" / "position.json")["done"] >= 1
    change_machine(ws, training_slots=0)
    again = jobs.start_over(ws, run_id)
    assert (again.state, again.progress, again.status.attempt) == ("queued", 0.0, 1)
    assert {path.name for path in folder.iterdir()} <= {"spec.json", "status.json", "log.txt", ".worker.lock"}
    with pytest.raises(EngineError, match="cannot start over: it is queued"):
        jobs.start_over(ws, run_id)
    change_machine(ws, training_slots=1)
    (record,) = jobs.wait(ws, [run_id], timeout_seconds=WAIT, poll_seconds=0.1)
    assert record.state == "succeeded"
    with pytest.raises(EngineError, match="it has succeeded"):
        jobs.start_over(ws, run_id)


def test_a_clone_keeps_what_is_not_changed(ws: Workspace) -> None:
    original = finish(ws, "after", {"ticks": 5, "lift": 0.25}, seed=7)
    made = clone(ws, original, {"lift": 0.5}).target.spec
    before = find(ws, original).spec
    assert before is not None
    assert {**before.parameters, "lift": 0.5} == made.parameters
    assert (made.seed, made.upstream, made.protocol) == (7, before.upstream, before.protocol)
    assert clone(ws, original, seed=8).target.spec.seed == 8
    with pytest.raises(EngineError, match="nothing was changed"):
        clone(ws, original)
    with pytest.raises(EngineError, match="did you mean 'ticks'"):
        clone(ws, original, {"tick": 3})


@pytest.mark.parametrize(
    "values", [{"training_slots": -1}, {"launcher": "slurm"}, {"ray_cpus": 0}, {"ray_tasks": 0}]
)
def test_settings_that_mean_nothing_change_nothing(ws: Workspace, values: dict[str, object]) -> None:
    change_machine(ws, training_slots=3)
    with pytest.raises(EngineError):
        change_machine(ws, **values)
    assert read_machine(ws) == Machine(training_slots=3)


def test_memory_is_counted_for_the_whole_session(ws: Workspace) -> None:
    holding = "x = bytearray(50_000_000); import time; print('ready', flush=True); time.sleep(60)"
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {holding!r}])"
    ws.runs.mkdir(parents=True)
    child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    who = local.identity(child.pid)
    eventually(lambda: group_memory_bytes(who) > 55_000_000)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not running(who)
    assert group_memory_bytes(who) == 0
