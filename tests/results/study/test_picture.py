"""A tree as boxes and lines: where they lie, what they say, and their common scale."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.results.study.picture import Place, picture, places
from engine.results.study.standing import Stand
from engine.results.trees.tree import Node, Tree
from engine.results.trees.tree_check import read_tree_file
from engine.results.trees.tree_library import SHIPPED
from engine.results.trees.tree_time import remaining
from engine.results.trees.tree_walk import Finding, Walk, walk
from tests.results.trees.test_tree import small
from tests.results.trees.test_tree_walk import done


def stood(found: Walk) -> Stand:
    return Stand(found, {}, remaining(found, {}), None)


def test_failing_goes_down_and_passing_goes_right() -> None:
    assert places(small()) == {
        "unified": Place(1, 1), "retrieval": Place(2, 1), "use": Place(2, 2),
        "last": Place(3, 1), "use-last": Place(3, 2), "open": Place(4, 1),
    }  # fmt: skip
    rescue = places(read_tree_file(SHIPPED / "cluster-rescue.yaml"))
    assert (rescue["cluster"], rescue["moe"], rescue["use-best"]) == (Place(2, 1), Place(2, 2), Place(2, 3))


@given(some.data())
def test_no_two_nodes_share_a_place(data: some.DataObject) -> None:
    """Over any tree without cycles: later nodes only are led to."""
    count = data.draw(some.integers(2, 12))
    nodes = [Node(id=f"n{count - 1}", result="End", use=["n0"])]
    for number in reversed(range(count - 1)):
        ahead = [f"n{later}" for later in range(number + 1, count)]
        branches = {name: data.draw(some.sampled_from(ahead)) for name in ("passed", "failed")}
        nodes.insert(0, Node(id=f"n{number}", experiment="unified", **branches))
    made = Tree(name="any", title="Any", gate={"over_reference": 0.0}, nodes=tuple(nodes))  # type: ignore[arg-type]
    lie = places(made)
    assert len({(place.row, place.column) for place in lie.values()}) == len(lie)
    assert lie.keys() == made.reachable("n0")


def test_boxes_say_state_gain_and_time_and_are_plain_json() -> None:
    found = walk(small(), {"unified": done(), "retrieval": done(delta=0.001)})
    drawn = picture(stood(found), chosen="use")
    assert json.loads(json.dumps(drawn)) == json.loads(json.dumps(drawn, allow_nan=False))
    boxes = {box["id"]: box for box in drawn["boxes"]}
    assert (boxes["retrieval"]["word"], boxes["retrieval"]["time"]) == ("Not passed", "took 1 min")
    assert boxes["retrieval"]["gain"] == "+0.1 (+1.0 to +5.0)"
    names = {name: box["title"] for name, box in boxes.items()}
    assert boxes["retrieval"]["label"].endswith(f", if yes {names['use']}, if no {names['last']}")
    assert [box["id"] for box in drawn["boxes"] if box["next"]] == ["last"]
    assert [box["id"] for box in drawn["boxes"] if box["chosen"]] == ["use"]
    assert {"from": "retrieval", "to": "last", "label": "no", "taken": True} in drawn["lines"]
    assert {"from": "retrieval", "to": "use", "label": "yes", "taken": False} in drawn["lines"]


def test_the_bars_share_one_scale() -> None:
    found = walk(small(), {"unified": done(), "retrieval": done()})
    bars = [box["bar"] for box in picture(stood(found))["boxes"] if box["bar"]]
    assert bars
    assert len({bar["zero"] for bar in bars}) == 1
    values = [value for bar in bars for value in (bar["needed"], bar["gain"], *(bar["interval"] or ()))]
    assert all(0 <= value <= 1 for value in values if value is not None)
    (bar,) = [box["bar"] for box in picture(stood(found))["boxes"] if box["id"] == "retrieval"]
    assert bar["zero"] < bar["interval"][0] < bar["needed"] < bar["gain"] < bar["interval"][1]


def test_what_if_is_drawn_over_the_same_findings() -> None:
    findings = {"unified": done(), "retrieval": done(delta=0.015)}
    before = stood(walk(small(), findings))
    easier = small().model_copy(update={"nodes": tuple(_eased(node) for node in small().nodes)})
    words = {box["id"]: box["word"] for box in picture(before, walk(easier, findings))["boxes"]}
    assert (words["retrieval"], words["use"], words["last"]) == ("Passed", "Result", "Skipped")


def _eased(node: Node) -> Node:
    if node.gate is None or node.gate.at_least is not None:
        return node
    return node.model_copy(update={"gate": node.gate.model_copy(update={"over_reference": 0.0})})


@pytest.mark.parametrize(("state", "word"), [("running", "Running"), ("queued", "Queued")])
def test_progress_is_shown_while_it_runs_and_waits(state: str, word: str) -> None:
    running = Finding(run_id="r", run_state=state, progress=0.4)  # type: ignore[arg-type]
    boxes = picture(stood(walk(small(), {"unified": running})))["boxes"]
    assert [(box["progress"], box["word"]) for box in boxes if box["id"] == "unified"] == [(0.4, word)]
    assert [box["progress"] for box in boxes if box["id"] == "last"] == [None]
