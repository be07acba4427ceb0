"""Steering vectors over the embedded base: what they are, what they are read from, and what they do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from engine.core.paths import Workspace, read_json
from engine.data.dataset import choose_examples, examples, load_dataset, load_splits
from engine.lm.activations import load_offsets
from engine.lm.asking import Asker
from engine.lm.effects import Recipe
from engine.lm.load import load_base
from engine.lm.recipes import Shelf, read_personas
from engine.results.store.intake import read_finished
from engine.runs.runfolder import RunSpec
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 12}
do = in_process.doing(SETTINGS)
ROWS = 4 * 2 * 2  # personas, splits, examples


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return prepare_study(tmp_path_factory.mktemp("study"), Path("embedded"), dialogues=8)


@pytest.fixture(scope="module")
def steered(ws: Workspace) -> RunSpec:
    return do(ws, "steering-vectors", over="base", depths=0.5, scales=1.0, replies=3)


def table(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id)


@torch.no_grad()
def test_a_vector_is_the_mean_difference_of_her_replies_and_the_models_own(
    ws: Workspace, steered: RunSpec
) -> None:
    """Against plain algebra: one reply at a time, by transformers' own hidden states."""
    base, shelf = load_base("embedded"), Shelf(ws)
    asker = Asker(ws, base, shelf, max_new_tokens=SETTINGS["max_new_tokens"])
    persona = load_dataset(ws).personas[1].persona_id
    told = choose_examples(examples(load_dataset(ws), load_splits(ws), "train"), 3)
    own = [one for one in told if one.persona_id == persona]
    assert read_json(ws.run_folder(steered.run_id) / "vectors.json")[persona] == [
        one.example_id for one in own
    ]

    def state(prompt: list[int], said: list[int]) -> torch.Tensor:
        layers = base.model(torch.tensor([[*prompt, *said]]), output_hidden_states=True).hidden_states
        return layers[3][0, len(prompt) - 1 : -1].mean(dim=0)

    differences = []
    for ask, example in zip(asker.asks(Recipe(), own), own, strict=True):
        prompt = list(ask.rows[0].ids)
        made = base.model.generate(
            torch.tensor([prompt]), max_new_tokens=SETTINGS["max_new_tokens"], do_sample=False
        )
        text = base.tokenizer.decode(made[0, len(prompt) :], skip_special_tokens=True).strip()
        ids = [
            base.tokenizer(one, add_special_tokens=False)["input_ids"] for one in (example.reference, text)
        ]
        differences.append(state(prompt, ids[0]) - state(prompt, ids[1]))
    (effect,) = read_personas(ws, steered.run_id)[persona]
    found = load_offsets(ws.adapters(steered.run_id) / effect.name)
    assert list(found.layers) == [2]
    torch.testing.assert_close(found.layers[2], torch.stack(differences).mean(dim=0), atol=1e-4, rtol=1e-3)


def test_it_is_scored_read_over_and_has_a_placebo(ws: Workspace, steered: RunSpec) -> None:
    rows = table(ws, steered)
    assert (set(rows["variant"]), len(rows)) == ({"steering-vectors-over-base"}, ROWS)
    plain = table(ws, do(ws, "base"))
    assert (rows["reply"].to_numpy() != plain["reply"].to_numpy()).any()
    placebo = do(ws, "placebo", of="steering-vectors", upstream={"of": steered.run_id})
    assert (table(ws, placebo)["reply"].to_numpy() != rows["reply"].to_numpy()).any()
    read = do(ws, "retrieval", over="steering-vectors", k=[1], upstream={"over": steered.run_id})
    assert set(table(ws, read)["variant"]) == {"steering-vectors-over-base+retrieval-1"}


def test_layer_and_scale_are_those_that_are_best_on_val(ws: Workspace) -> None:
    spec = do(ws, "steering-vectors", over="base", scales=[0.0, 1.0, 30.0], replies=3)
    sweep = read_json(ws.run_folder(spec.run_id) / "sweep.json")
    means = {point["value"]: point["mean"] for point in sweep["points"]}
    best = sweep["best"]
    assert [name for name in means if name.endswith("x 1")] == ["layer 1 x 1", "layer 2 x 1", "layer 3 x 1"]
    assert len(means) == 5
    assert means[f"layer {best['layer']} x {best['scale']:g}"] == max(means.values())
    val = table(ws, do(ws, "base")).query("split == 'val'")
    nothing = val.groupby("persona_id")["embedding_similarity"].mean().mean()
    assert means[f"layer {best['layer']} x 0"] == pytest.approx(nothing, abs=1e-6)


def test_with_nothing_added_it_is_the_variant_below(ws: Workspace) -> None:
    unified = do(ws, "unified", epochs=1)
    spec = do(ws, "steering-vectors", depths=0.25, scales=0.0, replies=1, upstream={"over": unified.run_id})
    same = ["split", "example_id", "reply"]
    pd.testing.assert_frame_equal(table(ws, spec)[same], table(ws, unified)[same])
    (mine,), (theirs,) = (read_finished(ws, one.run_id).variants for one in (spec, unified))
    assert mine.variant_id == theirs.variant_id


def test_where_val_chose_to_add_nothing_the_placebo_says_the_same(ws: Workspace) -> None:
    """A variant that came to answer everybody alike is a result, which a study goes on from."""
    spec = do(ws, "steering-vectors", over="base", depths=0.25, scales=[0.0, 1e-9], replies=1)
    placebo = do(ws, "placebo", of="steering-vectors", upstream={"of": spec.run_id})
    rows, swapped = table(ws, spec), table(ws, placebo)
    same = ["split", "example_id", "reply"]
    pd.testing.assert_frame_equal(rows[same], swapped[same])
    donors = read_json(ws.run_folder(placebo.run_id) / "placebo.json")["donors"]
    assert all(donor != persona for persona, donor in donors.items())


def test_only_so_much_of_her_history_is_read(ws: Workspace) -> None:
    spec = do(ws, "steering-vectors", over="base", depths=0.25, scales=1.0, history=1)
    dataset, splits = load_dataset(ws), load_splits(ws)
    for persona, read in read_json(ws.run_folder(spec.run_id) / "vectors.json").items():
        own = [one.dialogue_id for one in dataset.dialogues if one.persona_id == persona]
        newest = [one for one in own if splits.assignment[one] == "train"][-1]
        assert {one.rpartition("#")[0] for one in read} == {newest}
