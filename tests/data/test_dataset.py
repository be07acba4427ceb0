"""Loading what was prepared, and what an example is."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.core.types import Dataset, Dialogue, Message, Persona, Splits
from engine.data import choose_examples, examples, load_dataset, load_splits, prepare
from engine.data.dataset import dialogues_of, load_personas
from engine.data.layouts.edgewise import read_edgewise


def test_what_was_imported_is_what_is_loaded(ws: Workspace, edgewise: Path) -> None:
    prepare(ws, dataset=edgewise)
    assert load_dataset(ws) == read_edgewise(edgewise).dataset
    assert load_dataset(ws) is load_dataset(ws)
    assert load_splits(ws).scheme == "by-time"


def test_loading_sees_that_the_data_were_replaced(ws: Workspace, edgewise: Path) -> None:
    prepare(ws, dataset=edgewise)
    before = load_dataset(ws)
    prepare(ws, dataset=edgewise, personas=3, force=True)
    assert len(load_dataset(ws).personas) == 3
    assert len(before.personas) == 6


def test_the_dialogues_of_one_are_those_of_the_whole(ws: Workspace, edgewise: Path) -> None:
    for personas in (None, 3):  # and again once the data were replaced
        prepare(ws, dataset=edgewise, personas=personas, force=True)
        whole = load_dataset(ws)
        assert load_personas(ws) == whole.personas
        for one in whole.personas:
            own = tuple(row for row in whole.dialogues if row.persona_id == one.persona_id)
            assert dialogues_of(ws, one.persona_id) == own != ()
    assert dialogues_of(ws, "nobody") == ()
    path = ws.dataset / "dialogues.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(EngineError, match="dialogues.jsonl was changed or cut off"):
        dialogues_of(ws, "persona_000")


def test_dialogues_of_one_that_lie_apart_are_hers_alone_and_a_fault_names_its_line(
    ws: Workspace, edgewise: Path
) -> None:
    """As in a workspace that kept no note of its files, whose lines somebody put in another order."""
    prepare(ws, dataset=edgewise)
    path, config = ws.dataset / "dialogues.jsonl", ws.read_config()
    del config["files"], config["dataset"]["data_hash"]
    write_json(ws.config, config)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[::2] + lines[1::2]) + "\n")
    whole = load_dataset(ws)
    for one in whole.personas:
        own = tuple(row for row in whole.dialogues if row.persona_id == one.persona_id)
        assert dialogues_of(ws, one.persona_id) == own != ()
    path.write_text("\n".join([*lines[:4], "{", *lines[5:]]) + "\n")
    with pytest.raises(EngineError, match="line 5"):
        dialogues_of(ws, "persona_000")


def test_no_workspace_and_damaged_files_are_said_clearly(ws: Workspace, edgewise: Path) -> None:
    with pytest.raises(EngineError, match="is not a workspace yet"):
        load_dataset(ws)
    prepare(ws, dataset=edgewise)
    path = ws.dataset / "dialogues.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(EngineError, match="dialogues.jsonl was changed or cut off"):
        load_dataset(ws)
    path.unlink()
    with pytest.raises(EngineError, match="dialogues.jsonl is missing"):
        load_dataset(ws)


def test_an_example_is_a_reply_after_a_user_message() -> None:
    messages = (
        Message("assistant", "Welcome."),
        Message("system", "Evening."),
        Message("user", "Lamp, please."),
        Message("assistant", "On."),
        Message("assistant", "Also dimmed."),
    )
    dataset = Dataset((Persona("p"),), (Dialogue("p", "p/0000", 0, messages, {"weather": "fog"}),))
    found = examples(dataset, Splits("by-time", {"p/0000": "test"}), "test")
    assert [(one.example_id, one.turn, one.reference) for one in found] == [
        ("p/0000#3", 3, "On."),
        ("p/0000#4", 4, "Also dimmed."),
    ]
    assert found[1].context == messages[:4]
    assert found[0].meta == {"weather": "fog"}
    assert examples(dataset, Splits("by-time", {"p/0000": "test"}), "train") == ()


def test_the_chosen_examples_do_not_depend_on_order_or_on_other_personas(
    ws: Workspace, edgewise: Path
) -> None:
    prepare(ws, dataset=edgewise)
    found = examples(load_dataset(ws), load_splits(ws), "train")
    chosen = choose_examples(found, per_persona=4)
    assert Counter(one.persona_id for one in chosen) == {f"persona_{user:03d}": 4 for user in range(6)}
    assert choose_examples(tuple(reversed(found)), per_persona=4) == chosen
    own = [one for one in found if one.persona_id == "persona_002"]
    assert choose_examples(own, per_persona=4) == tuple(one for one in chosen if one in own)
    larger = {one.example_id for one in choose_examples(found, per_persona=5)}
    assert {one.example_id for one in chosen} < larger
    assert len(choose_examples(found, per_persona=None)) == len(found)
    assert [one.example_id for one in chosen[:4]] != [one.example_id for one in found[:4]]


def test_ten_thousand_dialogues_are_quick(ws: Workspace, tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.write_rows(tmp_path / "large", made.edgewise_rows(200, 50))
    started = time.process_time()
    prepare(ws, dataset=folder)
    imported = time.process_time()
    dataset, splits = load_dataset(ws), load_splits(ws)
    loaded = time.process_time()
    for _ in range(20):
        load_dataset(ws), load_splits(ws)
    again = time.process_time()
    assert len(examples(dataset, splits, "test")) == 200 * 10 * 2
    assert loaded - imported < 3
    assert again - loaded < 0.2
    assert imported - started < 30
