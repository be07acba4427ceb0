"""The commands about trees and the autopilot, as a terminal sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.core.paths import Workspace
from engine.results.trees import tree_library
from tests.cli.conftest import Run, ask
from tests.results.study.test_standing import GATED
from tests.workspaces import finish


@pytest.fixture
def ws(ws: Workspace) -> Workspace:
    tree_library.save(ws, "counting", GATED)
    return ws


def test_trees_are_listed(run: Run) -> None:
    names = [one["name"] for one in ask(run, "tree")["trees"]]
    assert names == ["quick-wins", "beyond", "cluster-rescue", "counting"]
    assert "Cluster rescue" in run("tree")[1]


def test_a_tree_tells_states_numbers_and_what_is_next(run: Run, ws: Workspace) -> None:
    finish(ws, "count")
    told = ask(run, "tree", "counting")
    assert (told["tree"], told["reference"], told["path"], told["next"]) == (
        "counting",
        "count",
        ["bar", "gain"],
        "gain",
    )
    states = {node["id"]: node["state"] for node in told["nodes"]}
    assert states == {
        "bar": "passed",
        "gain": "ready",
        **dict.fromkeys(("use", "after", "use-after", "none"), "blocked"),
    }
    assert told["verdict"] is None
    finish(ws, "gain")
    told = ask(run, "tree", "counting")
    (gain,) = [node for node in told["nodes"] if node["id"] == "gain"]
    decided = {"number": "gain", "value": gain["measured"]["delta"], "needed": 0.05, "open": ""}
    assert gain["decided_by"] == decided
    assert (told["result"], told["verdict"]["variant"]) == ("use", "gain")
    said = run("tree", "counting")[1]
    assert "gain +10" in said
    assert "Result: Use the gain." in said


def test_what_if_answers_and_saves_nothing(run: Run, ws: Workspace) -> None:
    finish(ws, "gain")
    before = tree_library.source(ws, "counting")
    told = ask(run, "tree", "counting", "--what-if", "gain=0.5")
    assert (told["result"], told["what_if"]["next"], told["what_if"]["moved"]) == (
        "use",
        "after",
        {"gain": 0.5},
    )
    said = run("tree", "counting", "--what-if", "gain=0.5")[1]
    assert "gain: passed becomes not passed" in said
    assert tree_library.source(ws, "counting") == before
    code, _, complained = run("tree", "counting", "--what-if", "gian=0.5", "--what-if", "gain=50")
    assert code == 1
    assert "'gian'" in complained
    assert "50.0" in complained
    assert run("tree", "counting", "--what-if", "gain=much")[0] == 1


def test_a_tree_is_copied_checked_and_saved(run: Run, ws: Workspace, tmp_path: Path) -> None:
    assert run("tree", "counting", "--copy", "mine")[0] == 0
    edited = tmp_path / "edited.yaml"
    edited.write_text(
        GATED.replace("failed: after", "failed: afetr").replace("experiment: gain", "experiment: gian")
    )
    code, said, _ = run("tree", "mine", "--save", str(edited), "--json")
    assert code == 1
    assert len(json.loads(said)["faults"]) == 5
    edited.write_text(GATED.replace("0.05", "0.01"))
    assert ask(run, "tree", "mine", "--save", str(edited)) == {"saved": "mine", "nodes": 6}
    assert run("tree", "mien")[0] == 1


def test_the_autopilot_says_that_there_is_none(run: Run) -> None:
    assert ask(run, "autopilot", "status") == {"autopilot": None, "log": []}
    assert "autopilot start" in run("autopilot", "status")[1]
    assert run("autopilot", "stop")[0] == 1
