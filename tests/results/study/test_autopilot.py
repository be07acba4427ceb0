"""The autopilot over real background runs: to the end, stopped, killed, resumed, halted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.study import autopilot
from engine.results.trees import tree_library
from engine.runs.processes import running
from engine.runs.records import scan
from tests.workspaces import eventually, held

TREE = """
title: Counting
reference: count
gate: {over_reference: 0.05}
nodes:
  - {id: bar, experiment: count, parameters: {ticks: TICKS, pause: 0.05}, then: gain}
  - {id: gain, experiment: gain, passed: use, failed: none}
  - {id: use, result: Use the gain, use: [gain]}
  - {id: none, result: Nothing, outcome: open, use: [count], record: Nothing helped.}
"""


@pytest.fixture
def ws(ws: Workspace) -> Iterator[Workspace]:
    """A workspace in which nobody walks after the test."""
    yield ws
    found = autopilot.status(ws)
    if found is not None and found.state == "walking":
        autopilot.stop(ws)


def plant(ws: Workspace, *, ticks: int = 2) -> None:
    tree_library.save(ws, "counting", TREE.replace("TICKS", str(ticks)))


def ended(ws: Workspace) -> autopilot.Autopilot:
    found = eventually(
        lambda: (now := autopilot.status(ws)) and now.state != "walking" and now, timeout_seconds=300
    )
    assert isinstance(found, autopilot.Autopilot)
    return found


def told(ws: Workspace) -> str:
    found = autopilot.status(ws)
    assert found is not None
    return "\n".join(entry.text for entry in autopilot.log(ws, found.flight))


def test_it_walks_from_nothing_to_the_verdict_and_obeys_the_gate(ws: Workspace) -> None:
    plant(ws)
    autopilot.start(ws, "counting")
    with pytest.raises(EngineError, match="already"):
        autopilot.start(ws, "counting")
    found = ended(ws)
    assert (found.state, found.node) == ("finished", "gain"), told(ws)
    assert sorted(run.rpartition("-")[0] for run in found.launched) == ["count", "gain"]
    log = told(ws)
    assert "bar: launched count-" in log
    assert "gain: passed" in log
    assert "finished: Use the gain. gain on test: +9.9 (" in log
    assert "against count: confirmed." in log
    again = autopilot.start(ws, "counting")
    assert again.flight == found.flight + 1
    assert ended(ws).launched == ()


def test_stopped_and_killed_it_goes_on_with_the_same_flight(ws: Workspace) -> None:
    plant(ws)
    with held(ws):
        begun = autopilot.start(ws, "counting")
        eventually(lambda: any(record.state == "running" for record in scan(ws)))
        stopped = autopilot.stop(ws)
        assert (stopped.state, running(stopped.process)) == ("stopped", False)
        assert [record.state for record in scan(ws)] == ["running"]
        with pytest.raises(EngineError, match="No autopilot walks"):
            autopilot.stop(ws)
        assert autopilot.start(ws, "counting").flight == begun.flight
        process = autopilot.read(ws).process  # type: ignore[union-attr]
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        lost = eventually(lambda: (now := autopilot.status(ws)) and now.state == "lost" and now)
        assert lost.flight == begun.flight
        assert autopilot.start(ws, "counting").flight == begun.flight
    found = ended(ws)
    assert found.state == "finished"
    assert [record.status.attempt for record in scan(ws)] == [1, 1]
    assert found.seconds > stopped.seconds


def test_a_stop_may_cancel_what_it_launched(ws: Workspace) -> None:
    plant(ws, ticks=10_000)
    autopilot.start(ws, "counting")
    eventually(lambda: any(record.state == "running" for record in scan(ws)))
    autopilot.stop(ws, cancel_run=True)
    assert [record.state for record in scan(ws)] == ["cancelled"]


def test_a_run_that_fails_halts_it_after_one_more_try(ws: Workspace) -> None:
    plant(ws)
    text = tree_library.source(ws, "counting").replace("pause: 0.05", "ending: badly")
    tree_library.save(ws, "counting", text)
    autopilot.start(ws, "counting")
    found = ended(ws)
    assert found.state == "halted"
    assert "the sum is wrong" in found.message
    assert [record.status.attempt for record in scan(ws)] == [1]
    autopilot.start(ws, "counting")
    ended(ws)
    assert [record.status.attempt for record in scan(ws)] == [2]


def test_what_cannot_start_is_refused_before_any_process(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no tree named"):
        autopilot.start(ws, "nothing")
    with pytest.raises(EngineError, match="not a workspace yet"):
        autopilot.start(Workspace(tmp_path / "none"), "quick-wins")
    plant(ws)
    with pytest.raises(EngineError, match="is no cluster"):
        autopilot.start(ws, "counting", cluster="biggest")
    assert autopilot.status(ws) is None
