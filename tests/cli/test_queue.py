"""The commands of the queue and the machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.cli import main
from engine.core.machine import change_machine, read_machine
from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import scan
from engine.strategies.plan import plan
from tests.workspaces import finish


class Shell:
    """Calls the command line in this process."""

    def __init__(self, ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        self.ws, self.capsys = ws, capsys

    def call(self, *words: str) -> tuple[int, str, str]:
        code = main([*words, "--workspace", str(self.ws.root)])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def ask(self, *words: str) -> Any:
        code, said, _ = self.call(*words, "--json")
        assert code == 0, said
        return json.loads(said)


@pytest.fixture
def shell(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ws, capsys)


def test_the_queue_is_shown_in_order_and_changed(ws: Workspace, shell: Shell) -> None:
    code, said, _ = shell.call("queue")
    assert (code, "cpu: free" in said, "Nothing runs and nothing waits" in said) == (0, True, True)
    assert shell.ask("machine", "--training-slots", "0")["devices"] == []
    names = [jobs.submit(ws, plan(ws, "count", {"ticks": n}))[0].record.run_id for n in (2, 3, 4)]
    found = shell.ask("queue")
    assert ([one["run_id"] for one in found["queued"]], found["running"], found["slots"]) == (names, [], [])
    found = shell.ask("queue", "move", names[2], "--before", names[1])
    assert [one["run_id"] for one in found["queued"]] == [names[0], names[2], names[1]]
    code, said, told = shell.call("queue")
    assert said.index(names[2]) < said.index(names[1])
    assert "The queue is paused" in told
    for words in (("queue", "move"), ("queue", "move", names[0]), ("queue", "move", "x", "--first")):
        code, _, told = shell.call(*words)
        assert (code, "Traceback" in told) == (1, False)


def test_a_clone_is_shown_before_it_is_run(ws: Workspace, shell: Shell) -> None:
    original = finish(ws, "count", {"ticks": 5})
    planned = shell.ask("clone", original, "--set", "lift=0.5", "--dry-run")
    (entry,) = [one for one in planned["runs"] if one["purpose"] == "asked"]
    assert (entry["parameters"]["ticks"], entry["parameters"]["lift"]) == (5, 0.5)
    assert len(scan(ws)) == 1
    code, _, told = shell.call("clone", original)
    assert (code, "nothing was changed" in told) == (1, True)
    change_machine(ws, training_slots=0)
    made = shell.ask("clone", original, "--seed", "3", "--detach")
    assert [one["state"] for one in made["runs"]] == ["queued"]


def test_starting_over_says_why_it_cannot(ws: Workspace, shell: Shell) -> None:
    code, _, told = shell.call("start-over", finish(ws, "count"))
    assert (code, "it has succeeded" in told) == (1, True)


def test_the_machine_is_shown_changed_and_closed(ws: Workspace, shell: Shell) -> None:
    assert shell.ask("machine")["training_slots"] == 1
    assert shell.ask("machine", "--training-slots", "3")["devices"] == ["cpu"] * 3
    code, said, _ = shell.call("machine", "--launcher", "ray", "--ray-address", "auto", "--ray-gpus", "1")
    assert (code, "ray address" in said) == (0, True)
    assert (read_machine(ws).launcher, read_machine(ws).ray_gpus) == ("ray", 1.0)
    code, _, told = shell.call("machine", "--ray-cpus", "0")
    assert (code, "must be more than 0" in told) == (1, True)
    shell.call("machine", "--launcher", "local", "--read-only")
    code, _, told = shell.call("run", "count")
    assert (code, "read-only" in told, "--no-read-only" in told) == (1, True, True)
    shell.call("machine", "--no-read-only")
    assert not read_machine(ws).read_only
