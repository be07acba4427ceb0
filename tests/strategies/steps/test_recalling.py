"""Training with memories in the prompt: what is trained on is what is asked, and nothing of it from later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.core.paths import Workspace, read_json
from engine.data.dataset import examples, load_dataset, load_splits, remembered
from engine.domains.registry import domain_of
from engine.lm.asking import Asker
from engine.lm.effects import Prompt, read_recipe
from engine.lm.load import load_base
from engine.lm.recipes import Shelf
from engine.lm.retrieve import MemoryIndex
from engine.lm.scorer import Scorer
from engine.runs import answers
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec
from engine.strategies.steps.recalling import recalled, rows_of, shown
from tests.in_process import do
from tests.tiny_base import prepare_study

READS = {"memories": 2, "retriever": "bm25", "epochs": 1, "examples_per_persona": 2, "max_new_tokens": 4}


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    return prepare_study(tmp_path_factory.mktemp("recalling"), tiny_base, dialogues=12)


@pytest.fixture(scope="module")
def spec(ws: Workspace) -> RunSpec:
    return do(ws, "unified-memories", READS)


@pytest.mark.parametrize("retriever", ["similarity", "bm25", "newest", "random"])
def test_a_dialogue_is_trained_on_with_memories_of_earlier_ones_alone(
    ws: Workspace, spec: RunSpec, retriever: str
) -> None:
    told = shown(RunContext(ws, RunSpec("x", 1, {**spec.parameters, "retriever": retriever}, 0, "", "")))
    dataset, splits = load_dataset(ws), load_splits(ws)
    of = {one.dialogue_id: one for one in dataset.dialogues}
    wanted = [(one, splits.assignment[one.dialogue_id]) for one in dataset.dialogues]
    found = recalled(RunContext(ws, spec), told, [pair for pair in wanted if pair[1] in ("train", "val")])
    train = examples(dataset, splits, "train")
    for example in train:
        sources = [of[memory.example_id.rpartition("#")[0]] for memory in found[example.example_id]]
        own = of[example.dialogue_id]
        earlier = [one for one in remembered(dataset, splits) if one.persona_id == example.persona_id
                   and of[one.dialogue_id].order < own.order]  # fmt: skip
        assert {one.persona_id for one in sources} <= {own.persona_id}
        assert all(one.order < own.order for one in sources)
        assert len(sources) == min(2, len(earlier))
    val = examples(dataset, splits, "val")
    index = MemoryIndex(Scorer(ws), dataset, splits)
    scored = index.nearest(val, 2, retriever=told.retriever, recency=told.recency)
    assert [found[one.example_id] for one in val] == scored


def test_of_what_came_before_a_retriever_knows_nothing_later(ws: Workspace) -> None:
    """What is found for a train dialogue is what is found where the later ones are not there at all."""
    dataset, splits = load_dataset(ws), load_splits(ws)
    persona = dataset.personas[0].persona_id
    own = [one for one in examples(dataset, splits, "train") if one.persona_id == persona]
    whole, of = MemoryIndex(Scorer(ws), dataset, splits), {one.dialogue_id: one for one in dataset.dialogues}
    for example in own:
        order = of[example.dialogue_id].order
        left = {one: split for one, split in splits.assignment.items() if of[one].order < order}
        alone = MemoryIndex(Scorer(ws), dataset, type(splits)(splits.scheme, left))
        for retriever in ("similarity", "bm25", "random"):
            ((there,), (here,)) = (
                whole.nearest([example], 3, retriever=retriever, earlier=True),
                alone.nearest([example], 3, retriever=retriever),
            )
            assert there == here


def test_what_is_trained_on_is_what_is_asked(ws: Workspace, spec: RunSpec) -> None:
    """A row of val is the prompt that scoring sends, token by token, and the reply."""
    base, context = load_base(spec.base), RunContext(ws, spec)
    dataset, splits = load_dataset(ws), load_splits(ws)
    (variant,) = read_json(ws.run_folder(spec.run_id) / "done.json")["variants"]
    recipe = read_recipe(variant["recipe"])
    assert variant["name"] == "unified-memories-2-bm25"
    assert recipe.prompt == shown(context) == Prompt(memories=2, retriever="bm25")
    val = [one for one in dataset.dialogues if splits.assignment[one.dialogue_id] == "val"]
    memories = recalled(context, recipe.prompt, [(one, "val") for one in val])
    asker = Asker(ws, base, Shelf(ws), max_new_tokens=4)
    asked = {one.example_id: one for one in examples(dataset, splits, "val")}
    seen = 0
    for dialogue in val:
        rows, was_cut = rows_of(base, domain_of(ws), dialogue, memories, max_new_tokens=4)
        own = [one for one in asked.values() if one.dialogue_id == dialogue.dialogue_id]
        assert not was_cut
        for row, ask in zip(rows, asker.asks(recipe, own), strict=True):
            (side,) = ask.rows
            assert list(row.ids[: len(side.ids)]) == side.ids
            assert not any(row.is_reply[: len(side.ids)])
            assert all(row.is_reply[len(side.ids) :])
            seen += bool(ask.memories)
        for row, example in zip(rows, own, strict=True):
            said = base.tokenizer.decode(
                [one for one, mine in zip(row.ids, row.is_reply, strict=True) if mine]
            )
            assert example.reference in said
    assert seen == len(asked)


def test_its_placebo_reads_somebody_elses_memories_with_the_same_adapter(
    ws: Workspace, spec: RunSpec
) -> None:
    placebo = do(ws, "placebo", {"of": "unified-memories", "examples_per_persona": 2, "max_new_tokens": 4},
                 upstream={"of": spec.run_id})  # fmt: skip
    donors = read_json(ws.run_folder(placebo.run_id) / "placebo.json")["donors"]
    rows = answers.read(ws, placebo.run_id).answers.to_pandas()
    assert set(donors) == {one.persona_id for one in load_dataset(ws).personas}
    for row in rows.itertuples():
        sources = {one["example_id"].split("/")[0] for one in json.loads(row.retrieved)}
        assert sources == {donors[row.persona_id]}
    over = do(ws, "retrieval", {"over": "unified-memories", "k": [1], "retriever": "newest",
                                "examples_per_persona": 2, "max_new_tokens": 4},
              upstream={"over": spec.run_id})  # fmt: skip
    (one,) = read_json(ws.run_folder(over.run_id) / "done.json")["variants"]
    assert one["name"] == "unified-memories-2-bm25+retrieval-recent-1-1"
    assert read_recipe(one["recipe"]).prompt == Prompt(memories=1, recency=1.0)
