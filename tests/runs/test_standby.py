"""Supervisors that stand by: what is loaded once serves the runs that follow, and no run depends on it."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from engine.core.paths import Workspace
from engine.runs import jobs, leases, slots, standby
from engine.runs.processes import ProcessIdentity, running
from engine.runs.records import find
from engine.runs.runfolder import read_events, read_status
from engine.strategies import registry
from tests.runs.launching import launch
from tests.workspaces import eventually

WAIT = 400.0


@pytest.fixture(autouse=True)
def slow_to_load(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting takes a second to load."""
    monkeypatch.setenv(registry.MORE, "tests.experiments_for_tests:SLOW")
    monkeypatch.setenv(standby.SECONDS, "60")


def finish(ws: Workspace, *run_ids: str) -> list[int]:
    """Wait until the runs succeeded and left their slots; return which process loaded the step of each."""
    records = jobs.wait(ws, run_ids, timeout_seconds=WAIT, poll_seconds=0.1)
    assert [record.state for record in records] == ["succeeded"] * len(run_ids)
    eventually(lambda: not any(map(slots.busy, records)), timeout_seconds=WAIT)
    return [loaded_by(ws, run_id)[-1] for run_id in run_ids]


def loaded_by(ws: Workspace, run_id: str) -> list[int]:
    events = read_events(ws.run_folder(run_id))
    return [event["by"] for event in events if event["kind"] == "loaded"]


def standing_by(ws: Workspace) -> ProcessIdentity:
    """Wait until a supervisor stands by; return who it is."""
    found: ProcessIdentity = eventually(lambda: standby.who(ws), timeout_seconds=WAIT)
    return found


def test_a_queue_loads_once_and_every_run_has_processes_of_its_own(ws: Workspace) -> None:
    run_ids = [launch(ws, ticks=ticks) for ticks in (2, 3, 4)]
    assert len(set(finish(ws, *run_ids))) == 1
    statuses = [read_status(ws.run_folder(run_id)) for run_id in run_ids]
    pids = {who.pid for status in statuses for who in (status.supervisor, status.worker) if who}
    assert len(pids) == 6
    assert [sum(" starts: " in line for line in log(ws, run_id)) for run_id in run_ids] == [1, 1, 1]


def test_a_run_launched_later_starts_from_who_stands_by(ws: Workspace) -> None:
    (first,) = finish(ws, launch(ws, ticks=2))
    who = standing_by(ws)
    later = launch(ws, ticks=3)
    assert find(ws, later).status.supervisor == who
    assert finish(ws, later) == [first]


def test_a_run_asked_for_from_elsewhere_starts_afresh(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key or a cache folder that was set meanwhile would not be seen by who stands by."""
    (first,) = finish(ws, launch(ws, ticks=2))
    who = standing_by(ws)
    monkeypatch.setenv("HF_HOME", "/elsewhere")
    later = launch(ws, ticks=3)
    assert find(ws, later).status.supervisor != who
    assert finish(ws, later) != [first]


def test_who_stands_by_in_a_workspace_is_given_no_run_of_its_copy(ws: Workspace, tmp_path: Path) -> None:
    finish(ws, launch(ws, ticks=2))
    who = standing_by(ws)
    copy = Workspace(shutil.copytree(ws.root, tmp_path / "copy"))
    later = launch(copy, ticks=3)
    assert find(copy, later).status.supervisor != who
    finish(copy, later)
    assert standing_by(copy) != who
    assert standing_by(ws) == who


def test_a_gpus_worker_is_forked_and_begins_anew_where_its_driver_does_not_answer(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that has not begun outlives a fork. The one asked for here answers nobody: there is none."""
    monkeypatch.setenv(leases.FOLDER, str(tmp_path / "leases"))
    monkeypatch.setattr(slots, "gpus", lambda: ("gpu-a",))

    def cards(run_id: str) -> list[str]:
        return [event["card"] for event in read_events(ws.run_folder(run_id)) if event["kind"] == "loaded"]

    first = launch(ws, ticks=2)
    (loader,) = finish(ws, first)
    later = launch(ws, ticks=3)
    assert finish(ws, later) == [loader]
    assert read_status(ws.run_folder(later)).device == "gpu-a"
    assert cards(first) == cards(later) == ["a"]
    monkeypatch.setenv("SLOW_TO_LOAD_TORCH", "1")
    anew = launch(ws, ticks=4)
    (loader,) = finish(ws, anew)
    status = read_status(ws.run_folder(anew))
    assert status.worker is not None
    assert (loader, cards(anew)) == (status.worker.pid, ["a"])


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_starts_though_who_stood_by_was_killed(ws: Workspace, harm: signal.Signals) -> None:
    (first,) = finish(ws, launch(ws, ticks=2))
    who = standing_by(ws)
    os.kill(who.pid, harm)
    eventually(lambda: not running(who))
    assert finish(ws, launch(ws, ticks=3)) != [first]


def test_a_killed_worker_of_who_stood_by_is_recorded_and_the_run_goes_on(ws: Workspace) -> None:
    (first,) = finish(ws, launch(ws, ticks=2))
    standing_by(ws)
    later = launch(ws, ticks=10_000, pause=0.05)
    eventually(lambda: find(ws, later).status.done)
    os.kill(find(ws, later).pid or 0, signal.SIGKILL)
    (record,) = jobs.wait(ws, [later], timeout_seconds=WAIT)
    assert (record.state, record.status.signal) == ("lost", "SIGKILL")
    standing_by(ws)
    jobs.resume(ws, later)
    eventually(lambda: len(loaded_by(ws, later)) == 2)
    assert loaded_by(ws, later) == [first, first]
    jobs.cancel(ws, later)


def test_an_interrupted_worker_of_who_stood_by_is_lost(ws: Workspace) -> None:
    run_id = launch(ws, ticks=10_000, pause=0.05)
    eventually(lambda: find(ws, run_id).status.done)
    os.kill(find(ws, run_id).pid or 0, signal.SIGINT)
    (record,) = jobs.wait(ws, [run_id], timeout_seconds=WAIT)
    assert (record.state, record.status.signal) == ("lost", "SIGINT")


def test_a_cancelled_run_leaves_no_process_at_work(ws: Workspace) -> None:
    finish(ws, launch(ws, ticks=2))
    standing_by(ws)
    later = launch(ws, ticks=10_000, pause=0.05)
    eventually(lambda: find(ws, later).status.done)
    cancelled = jobs.cancel(ws, later)
    assert cancelled.state == "cancelled"
    assert not running(cancelled.status.worker)
    assert not running(cancelled.status.supervisor)
    assert len(finish(ws, launch(ws, ticks=4))) == 1


def test_who_stands_by_leaves_after_a_while(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(standby.SECONDS, "5")
    finish(ws, launch(ws, ticks=2))
    who = standing_by(ws)
    eventually(lambda: not running(who))
    assert not (ws.runs / ".standby.json").exists()


def test_who_stands_by_leaves_with_the_workspace(ws: Workspace) -> None:
    run_id = launch(ws, ticks=2)
    finish(ws, run_id)
    who = standing_by(ws)
    eventually(lambda: not running(find(ws, run_id).status.supervisor))  # it has said all it has to say
    shutil.rmtree(ws.root)
    eventually(lambda: not running(who))
    assert not ws.root.exists()


def test_of_two_one_stands_by(ws: Workspace) -> None:
    finish(ws, launch(ws, ticks=2))
    who = standing_by(ws)
    assert not standby.offer(ws, standby.origin())
    assert standing_by(ws) == who


def log(ws: Workspace, run_id: str) -> list[str]:
    return (ws.run_folder(run_id) / "log.txt").read_text().splitlines()
