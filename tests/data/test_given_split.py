"""edgesplits.json beside a flattened file: used as it is, or refused with every contradiction."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import DataError, EngineError
from engine.core.paths import Workspace, read_json
from engine.data import load_splits, prepare

Entries = dict[str, dict[str, Any]]


@pytest.fixture
def entries() -> Entries:
    """Five, two and three dialogues of each persona: not the shares that the engine would take."""
    return {
        f"persona_{user:03d}": {
            "train": [user * 10 + place for place in range(5)],
            "val": [user * 10 + place for place in (5, 6)],
            "test": [user * 10 + place for place in (7, 8, 9)],
            "online": [user * 10 + 4],
        }
        for user in range(6)
    }


def put(flattened: Path, entries: Any) -> None:
    (flattened.parent / "edgesplits.json").write_text(json.dumps(entries), encoding="utf-8")


def test_it_is_used_for_a_split_by_time(ws: Workspace, flattened: Path, entries: Entries) -> None:
    put(flattened, entries)
    card = prepare(ws, dataset=flattened)
    splits = load_splits(ws)
    assert splits.scheme == "by-time"
    own = [splits.assignment[f"persona_002/{place:04d}"] for place in range(10)]
    assert own == ["train"] * 5 + ["val"] * 2 + ["test"] * 3
    assert splits.online == {f"persona_{user:03d}/0004" for user in range(6)}
    assert card["notes"] == ["The split is the one given in edgesplits.json."]
    assert all(check["ok"] for check in read_json(ws.splits / "splits.json")["checks"])
    assert read_json(ws.splits / "edgesplits.json") == entries


def test_a_subset_keeps_its_part(ws: Workspace, flattened: Path, entries: Entries) -> None:
    put(flattened, entries)
    card = prepare(ws, dataset=flattened, personas=2)
    splits = load_splits(ws)
    assert len(splits.assignment) == 20
    assert sum(split == "test" for split in splits.assignment.values()) == 6
    assert len(splits.online) == 2
    assert card["counts"]["examples_by_split"] == {"train": 20, "val": 8, "test": 12}


@pytest.mark.parametrize("choice", [{"split": "by-persona"}, {"dialogues": 6}])
def test_it_is_left_aside_where_it_does_not_fit(
    ws: Workspace, flattened: Path, entries: Entries, choice: dict[str, Any]
) -> None:
    put(flattened, entries)
    card = prepare(ws, dataset=flattened, **choice)
    assert card["notes"] == ["edgesplits.json was not used: it is for a split by time of all dialogues."]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda e: e.pop("persona_001"), "persona_001: missing"),
        (lambda e: e.update(persona_001=[]), "persona_001: must be an object, is a list"),
        (lambda e: e["persona_001"].pop("val"), "persona_001.val: missing"),
        (lambda e: e["persona_001"].update(test="all"), "persona_001.test: must be a list, is text"),
        (
            lambda e: e["persona_001"]["train"].append("7"),
            "persona_001.train[5]: must be a line index, is text",
        ),
        (
            lambda e: e["persona_001"]["train"].append(True),
            "persona_001.train[5]: must be a line index, is true",
        ),
        (lambda e: e["persona_001"]["train"].append(60), "persona_001.train[5]: there is no line 60"),
        (lambda e: e["persona_001"]["train"].append(-1), "persona_001.train[5]: there is no line -1"),
        (
            lambda e: e["persona_001"]["train"].append(25),
            "persona_001.train[5]: line 25 is of another persona",
        ),
        (lambda e: e["persona_001"]["train"].append(11), "persona_001.train[5]: the line is named twice"),
        (lambda e: e["persona_001"]["val"].append(11), "persona_001.val[2]: the line is in train as well"),
        (lambda e: e["persona_001"]["online"].append(18), "persona_001.online[1]: the line is not in train"),
        (lambda e: e["persona_001"]["test"].pop(), "persona_001: 1 dialogues are in no split"),
        (lambda e: e["persona_001"].update(val=[17, 18], test=[15, 16, 19]), "not in order of time"),
        (lambda e: e.update(stranger=e["persona_001"]), "stranger: no dialogue of this persona"),
    ],
)
def test_every_contradiction_is_refused(
    ws: Workspace, flattened: Path, entries: Entries, edit: Callable[[Entries], Any], expected: str
) -> None:
    edit(entries)
    put(flattened, entries)
    with pytest.raises(DataError) as caught:
        prepare(ws, dataset=flattened)
    assert any(expected in str(fault) for fault in caught.value.faults)
    assert {fault.file for fault in caught.value.faults} == {"edgesplits.json"}
    assert not ws.root.exists()


def test_keeping_the_good_leaves_the_contradictory_persona_out(
    ws: Workspace, flattened: Path, entries: Entries
) -> None:
    entries["persona_001"]["train"].append(25)
    put(flattened, entries)
    card = prepare(ws, dataset=flattened, keep_good=True)
    assert card["counts"]["personas"] == 5
    assert card["left_out"][0]["what"] == "persona_001.train[5]: line 25 is of another persona"


def test_faults_of_rows_and_of_the_split_come_together(
    ws: Workspace, flattened: Path, entries: Entries
) -> None:
    lines = flattened.read_text(encoding="utf-8").splitlines()
    lines[23] = "{"
    flattened.write_text("\n".join(lines), encoding="utf-8")
    entries["persona_001"]["val"] = []
    put(flattened, entries)
    with pytest.raises(DataError) as caught:
        prepare(ws, dataset=flattened)
    assert {(fault.file, fault.line) for fault in caught.value.faults} == {
        ("dialogues.jsonl", 24),
        ("edgesplits.json", 0),
    }


def test_a_torn_file_is_refused_and_left_aside_on_request(ws: Workspace, flattened: Path) -> None:
    (flattened.parent / "edgesplits.json").write_text('{\n"persona_000": {', encoding="utf-8")
    with pytest.raises(EngineError, match=r"edgesplits.json: not valid JSON: .* at line 2"):
        prepare(ws, dataset=flattened)
    card = prepare(ws, dataset=flattened, keep_good=True)
    assert card["counts"]["personas"] == 6
    assert load_splits(ws).online
