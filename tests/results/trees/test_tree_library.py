"""The trees of a workspace: shipped, copied, edited, broken by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import DataError, EngineError
from engine.core.paths import Workspace
from engine.results.trees import tree_library
from tests.results.trees.test_tree import SMALL
from tests.workspaces import make_workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def test_the_trees_ship_sound_and_the_quick_one_is_first(ws: Workspace) -> None:
    found = [(entry.name, entry.own, entry.error) for entry in tree_library.entries(ws)]
    assert found == [(name, False, None) for name in ("quick-wins", "beyond", "cluster-rescue")]
    on_the_way = [node.experiment for node in tree_library.find(ws, "beyond").nodes if not node.is_result]
    assert on_the_way == [
        *("unified", "context-steering", "steering-vectors", "retrieval", "hybrid", "mta", "hypernetwork"),
        "staged",
    ]


def test_a_copy_is_edited_and_used(ws: Workspace) -> None:
    path = tree_library.copy(ws, "quick-wins", "mine")
    assert path == ws.data / "trees" / "mine.yaml"
    text = tree_library.source(ws, "mine")
    tree_library.save(ws, "mine", text.replace("over_reference: 0.0286", "over_reference: 0.01"))
    gate = tree_library.find(ws, "mine").node("retrieval").gate
    assert gate is not None
    assert gate.over_reference == 0.01
    assert [entry.name for entry in tree_library.entries(ws)][-1] == "mine"
    with pytest.raises(EngineError, match="already"):
        tree_library.copy(ws, "quick-wins", "mine")
    tree_library.remove(ws, "mine")
    assert len(tree_library.entries(ws)) == 3


def test_nothing_is_expected_in_another_metric_than_the_expectations_are_of(ws: Workspace) -> None:
    def expected(name: str) -> list[tuple[float, float] | None]:
        return [node.expected for node in tree_library.find(ws, name).nodes if node.experiment != "unified"]

    shipped = tree_library.source(ws, "quick-wins")
    assert (0.0164, 0.0493) in expected("quick-wins")
    tree_library.save(ws, "by-action", shipped.replace("gate:\n", "gate:\n  metric: exact_action_match\n", 1))
    assert set(expected("by-action")) == {None}
    own = tree_library.source(ws, "by-action").replace("expected_in: embedding_similarity", "# mine:")
    tree_library.save(ws, "by-action", own)
    assert expected("by-action") == expected("quick-wins")


def test_an_unsound_tree_is_never_saved(ws: Workspace) -> None:
    tree_library.save(ws, "mine", SMALL)
    with pytest.raises(DataError) as caught:
        tree_library.save(ws, "mine", SMALL.replace("failed: open", "failed: nowhere"))
    assert [fault.line for fault in caught.value.faults] == [16, 24]
    assert tree_library.source(ws, "mine") == SMALL


@pytest.mark.parametrize("name", ["Mine", "../mine", "", "a b", "-a", "x" * 61])
def test_a_name_must_be_a_file_name(ws: Workspace, name: str) -> None:
    with pytest.raises(EngineError, match="cannot be a tree's name"):
        tree_library.save(ws, name, SMALL)


def test_a_shipped_tree_stays(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="ships with"):
        tree_library.save(ws, "quick-wins", SMALL)
    with pytest.raises(EngineError):
        tree_library.remove(ws, "quick-wins")


def test_a_tree_broken_by_hand_is_listed_with_its_faults(ws: Workspace) -> None:
    tree_library.save(ws, "mine", SMALL)
    (ws.data / "trees" / "mine.yaml").write_text("nodes: [")
    entry = tree_library.entries(ws)[-1]
    assert "not valid YAML" in str(entry.error)
    with pytest.raises(EngineError, match="Did you mean"):
        tree_library.find(ws, "mein")
    assert str(tree_library.entries(ws)[0].error) == "None"


def test_bytes_that_are_no_text_are_a_fault_not_a_crash(ws: Workspace) -> None:
    tree_library.save(ws, "mine", SMALL)
    (ws.data / "trees" / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    assert tree_library.entries(ws)[-1].error is not None
