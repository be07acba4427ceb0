"""Decision trees: what a sound one is, what a moved threshold changes, and every fault at once."""

from __future__ import annotations

import pytest

from engine.core.errors import DataError, EngineError
from engine.results.trees.tree import Tree, move_thresholds
from engine.results.trees.tree_check import read_tree, read_tree_file
from engine.results.trees.tree_library import SHIPPED

SMALL = """
title: Small
gate: {over_reference: 0.02, share_improved: 0.6}
nodes:
  - id: unified
    experiment: unified
    then: retrieval
  - id: retrieval
    experiment: retrieval
    gate: {alpha: 0.01}
    passed: use
    failed: last
  - id: use
    result: Use it
    use: [retrieval]
  - id: last
    experiment: profile-prompt
    gate: {at_least: 0.85}
    passed: use-last
    failed: open
  - id: use-last
    result: Use the profile
    use: [last]
  - id: open
    result: Nothing helps
    outcome: open
    use: [unified]
"""


def small() -> Tree:
    return read_tree(SMALL, name="small")


def faults(text: str) -> list[str]:
    with pytest.raises(DataError) as caught:
        read_tree(text, name="small")
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_trees_are_sound(path: object) -> None:
    tree = read_tree_file(path)  # type: ignore[arg-type]
    assert tree.start.id == "unified"
    assert all(node.is_result or node.leads_to for node in tree.nodes)


def test_the_shipped_trees_follow_the_plan() -> None:
    quick = read_tree_file(SHIPPED / "quick-wins.yaml")
    spine = ["unified", "routing", "retrieval", "cluster", "prefix", "augment", "constrained", "keep-trying"]
    for name, onward in zip(spine, spine[1:], strict=False):
        assert onward in (quick.node(name).then, quick.node(name).failed)
    gate = quick.node("retrieval").gate
    assert gate is not None
    assert (gate.over_reference, gate.share_improved, gate.alpha, gate.split) == (0.0286, 0.60, 0.05, "val")
    rescue = read_tree_file(SHIPPED / "cluster-rescue.yaml")
    spine = ["cluster", "merge", "from-unified", "mixture", "moe-instead"]
    assert [rescue.node(name).failed for name in spine[:-1]] == spine[1:]
    assert rescue.node(rescue.node("cluster").passed or "").experiment == "merge-moe"
    assert "not effective" in (rescue.node("moe-or-unified").record or "")


def test_a_gate_takes_what_it_does_not_say_from_the_tree() -> None:
    retrieval, last = small().node("retrieval").gate, small().node("last").gate
    assert retrieval is not None
    assert (retrieval.over_reference, retrieval.share_improved, retrieval.alpha) == (0.02, 0.6, 0.01)
    assert last is not None
    assert (last.over_reference, last.at_least) == (None, 0.85)
    assert last.needed_gain(0.80) == pytest.approx(0.05)
    assert small().node("unified").gate is None


def test_a_threshold_moves_in_its_own_kind() -> None:
    tree = move_thresholds(
        small(), {"retrieval": 0.0, "last": 0.9, "last.alpha": 0.1, "retrieval.share": 0.5}
    )
    retrieval, last = tree.node("retrieval").gate, tree.node("last").gate
    assert retrieval is not None
    assert last is not None
    assert (retrieval.over_reference, retrieval.share_improved) == (0.0, 0.5)
    assert (last.at_least, last.alpha) == (0.9, 0.1)
    assert small().node("retrieval").gate != retrieval


def test_every_wrong_move_is_named() -> None:
    with pytest.raises(EngineError) as caught:
        move_thresholds(small(), {"retreival": 0.1, "retrieval.power": 0.1, "last": 85.0, "unified": 0.1})
    told = caught.value.message
    assert "'retreival'" in told
    assert "'retrieval'" in told
    assert "retrieval.power" in told
    assert "85.0" in told
    assert "'unified'" in told


def test_all_faults_are_told_at_once_with_their_lines() -> None:
    text = (
        SMALL.replace("alpha: 0.01", "metric: embeding_similarity")
        .replace("experiment: profile-prompt", "experiment: profile-promt")
        .replace("failed: open", "failed: retrieval")
        .replace("use: [last]", "use: [nothing]")
        .replace("title: Small", "title: Small\ncolour: blue")
    )
    told = faults(text)
    assert [line for line in told if "small.yaml:3: colour: there is no such entry" in line]
    assert any("Did you mean 'embedding_similarity'" in line for line in told)
    assert any("Did you mean 'profile-prompt'" in line for line in told)
    assert any("a cycle: retrieval -> last -> retrieval" in line for line in told)
    assert any("open: cannot be reached from unified" in line for line in told)
    assert any("use-last: There is no node named 'nothing'" in line for line in told)
    assert len(told) == 6


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("over_reference: 0.02, ", "", "retrieval: its gate has no threshold"),
        ("at_least: 0.85", "at_least: 0.85, over_reference: 0.1", "last: its gate has two thresholds"),
        ("at_least: 0.85", "at_least: 85", "must be 1 or less"),
        ("alpha: 0.01", "alpha: 0", "must be more than 0"),
        ("alpha: 0.01", "split: train", "must be val or test"),
        ("alpha: 0.01", "alpha: true", "a number is needed"),
        ("at_least: 0.85", "at_least: 0.85, metric: numerical_mae", "numerical_mae is no fraction"),
        ("alpha: 0.01", "metric: length_ratio", "no value of length_ratio is better"),
        ("    failed: open\n", "", "a gate needs both branches"),
        ("then: retrieval", "then: nowhere", "There is no node named 'nowhere'"),
        ("id: last", "id: use", "the id is given twice"),
        ("result: Use it\n", "note: x\n", "needs either an experiment or a result"),
        ("use: [retrieval]", "use: [last]", "uses last, which does not come before it"),
        ("use: [retrieval]", "outcome: use", "a result needs `use`"),
        ("title: Small", "title: Small\nreference: base", "no node before its gate makes the reference base"),
        ("experiment: unified\n", "experiment: unified\n    parameters: {rang: 3}\n", "did you mean 'rank'"),
        ("experiment: unified\n", "experiment: unified\n    parameters: {rank: 0}\n", "rank: must be"),
        ("experiment: unified\n", "experiment: unified\n    expected: [0.2, 0.1]\n", "from the smaller"),
        ("title: Small", "title: Small\nexpected_in: similarity", "expected_in: There is no metric"),
        ("title: Small", "title: Small\ntitle: Again", "title: given twice"),
        ("title: Small", "title: [", "not valid YAML"),
        ("title: Small", "title: &a x\nquestion: *a", "aliases"),
    ],
)  # fmt: skip
def test_each_fault_is_found(old: str, new: str, told: str) -> None:
    assert old in SMALL
    found = faults(SMALL.replace(old, new, 1))
    assert any(told in line for line in found), found


@pytest.mark.parametrize("text", ["", "[]", "title", "nodes: []", "nodes: 3", "title: x\nnodes:\n  - 3"])
def test_what_is_no_tree_is_refused(text: str) -> None:
    assert faults(text)


def test_an_optional_experiment_may_be_missing() -> None:
    text = SMALL.replace("experiment: profile-prompt", "experiment: telepathy\n    optional: true")
    assert read_tree(text, name="small").node("last").experiment == "telepathy"
