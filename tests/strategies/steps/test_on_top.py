"""Deltas on what another run does for each persona: merges of deltas, merge then adapt, and stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.lm.bank import written
from engine.lm.effects import Own, Recipe, Weights, read_recipe
from engine.lm.forms import LoraForm
from engine.lm.load import load_base
from engine.lm.recipes import Shelf, read_personas
from engine.lm.shape import LoraShape
from engine.lm.train import Lesson, Trainer, TrainSettings
from engine.results.store.intake import read_finished
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec, Status, losses_once, read_events
from engine.strategies.plan import plan
from engine.strategies.steps.lessons import Group, training_dialogues
from engine.strategies.steps.train_adapters import bundles
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 12}
do = in_process.doing(SETTINGS)
ROWS = 4 * 2 * 2  # personas, splits, examples
SHORT = {"epochs": 1, "batch_size": 2}


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four personas in two clusters over the embedded base, with deltas on unified."""
    ws = prepare_study(tmp_path_factory.mktemp("study"), Path("embedded"), world="archetypes", dialogues=6)
    do(ws, "hybrid", **SHORT)
    do(ws, "clustering", k=[2])
    return ws


def table(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id)


@pytest.fixture(scope="module")
def merged(ws: Workspace) -> RunSpec:
    return do(ws, "mta", k=2, **SHORT)


@pytest.fixture(scope="module")
def staged(ws: Workspace) -> RunSpec:
    do(ws, "cluster-from-unified", **SHORT)
    return do(ws, "staged", **SHORT)


def test_the_trainings_of_a_run_are_told_apart(ws: Workspace, merged: RunSpec) -> None:
    told = [one for one in read_events(ws.run_folder(merged.run_id)) if one["kind"] == "loss"]
    first = [one["loss_nats"] for one in told if (one["split"], one["step"]) == ("train", 1)]
    assert {one["training"] for one in told} == set(range(len(first)))
    assert len(first) == 4
    assert losses_once(told)[0]["loss_nats"] == pytest.approx(sum(first) / 4)


@pytest.mark.parametrize("name", ["merge-topk", "merge-cluster"])
def test_a_merge_of_deltas_on_unified_lies_on_unified(ws: Workspace, name: str) -> None:
    spec = do(ws, name, adapters="hybrid")
    (variant,) = read_finished(ws, spec.run_id).variants
    assert variant.name == f"{name}-hybrid"
    below, own = read_recipe(variant.recipe).effects
    assert isinstance(below, Weights)
    assert below.name == "unified"
    assert own == Own(spec.run_id)
    for parts in read_personas(ws, spec.run_id).values():
        assert sum(one.weight for one in parts if isinstance(one, Weights)) == pytest.approx(1.0)
        assert {one.run for one in parts} == {spec.upstream["adapters"]}
    assert set(table(ws, spec)["variant"]) == {f"{name}-hybrid"}


def test_the_delta_lies_on_unified_and_the_nearest_deltas(ws: Workspace, merged: RunSpec) -> None:
    (variant,) = read_finished(ws, merged.run_id).variants
    recipe = read_recipe(variant.recipe)
    unified, merge, own = recipe.effects
    assert isinstance(unified, Weights)
    assert (merge, own) == (Own(merged.upstream["below"]), Own(merged.run_id))
    shelf = Shelf(ws)
    for persona, (delta,) in read_personas(ws, merged.run_id).items():
        (side,) = shelf.sides(recipe, persona)
        shares = [one for one in side.effects if isinstance(one, Weights) and one.run != merged.run_id]
        assert sum(one.weight for one in shares[1:]) == pytest.approx(1.0)
        assert shelf.lora(delta.run, delta.name).factors["model.layers.0.self_attn.q_proj"][0].shape[0] == 2
    assert len(table(ws, merged)) == ROWS


def test_it_is_the_delta_that_is_trained_alone_on_what_lies_below_her(ws: Workspace, merged: RunSpec) -> None:
    """Against the trainer over a base whose weights hold the persona's merge already."""
    base, shelf, persona = load_base("embedded"), Shelf(ws), "persona_002"
    (variant,) = read_finished(ws, merged.run_id).variants
    below = Recipe(read_recipe(variant.recipe).effects[:-1])
    (side,) = shelf.sides(below, persona)
    with RunContext(ws, merged, status=Status(state="running"), reports=ws.root / "elsewhere") as context:
        rows = training_dialogues(context, base, {persona})[persona]
    given = merged.parameters
    settings = TrainSettings(
        **{name: given[name] for name in TrainSettings.__dataclass_fields__ if name in given},
        seed=merged.seed,
    )
    form = LoraForm(base.model, LoraShape.of(given))
    with written(base.model, shelf.change(side.effects)):
        (alone,) = Trainer(
            base.model, form, settings, [Lesson(persona, rows["train"], rows["val"])], pad_id=base.pad_id
        ).fit()
    (delta,) = read_personas(ws, merged.run_id)[persona]
    stored = shelf.lora(delta.run, delta.name)
    for path, (a, b) in form.lora(alone.weights).factors.items():
        torch.testing.assert_close(stored.factors[path][0], a, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(stored.factors[path][1], b, atol=1e-4, rtol=1e-3)


def test_a_merge_learned_by_layer_is_the_sum_that_its_weights_say(ws: Workspace) -> None:
    spec = do(ws, "merge-learned", adapters="hybrid", by_layer=True, learning_rate=0.5)
    (variant,) = read_finished(ws, spec.run_id).variants
    assert variant.name == "merge-learned-by-layer-hybrid"
    weights, shelf = read_json(ws.run_folder(spec.run_id) / "weights.json"), Shelf(ws)
    delta_of = read_personas(ws, spec.upstream["adapters"])
    differ = 0
    for name, merge in weights["merges"].items():
        if "by_module" not in merge:
            continue
        lora = shelf.lora(spec.run_id, name)
        differ += len(set(map(tuple, merge["by_module"].values()))) > 1
        for path, shares in merge["by_module"].items():
            assert sum(shares) == pytest.approx(1.0, abs=1e-5)
            a, b = lora.factors[path]
            parts = [shelf.lora(*_place(delta_of[persona])) for persona in merge["members"]]
            expected = sum(
                share * one.scale * one.factors[path][1] @ one.factors[path][0]
                for share, one in zip(shares, parts, strict=True)
            )
            torch.testing.assert_close(lora.scale * b @ a, expected, atol=1e-5, rtol=1e-4)
    assert differ
    assert len(table(ws, spec)) == ROWS
    with pytest.raises(EngineError, match="combine=exact"):
        plan(ws, "merge-learned", {"by_layer": True, "combine": "svd"})


def test_a_predicted_adapter_is_made_of_the_others_alone(ws: Workspace) -> None:
    spec = do(ws, "hypernetwork")
    (variant,) = read_finished(ws, spec.run_id).variants
    assert variant.name == "hypernetwork"
    unified, own = read_recipe(variant.recipe).effects
    assert (unified, own) == (Weights(unified.run, "unified"), Own(spec.run_id))  # type: ignore[union-attr]
    deltas = {_place(effects): who for who, effects in read_personas(ws, spec.upstream["adapters"]).items()}
    for persona, parts in read_personas(ws, spec.run_id).items():
        assert sum(one.weight for one in parts if isinstance(one, Weights)) == pytest.approx(1.0)
        assert persona not in {deltas[one.run, one.name] for one in parts}
    assert read_finished(ws, spec.run_id).summary["explained"] <= 1.0
    assert len(table(ws, spec)) == ROWS
    placebo = do(ws, "placebo", of="hypernetwork", upstream={"of": spec.run_id})
    assert set(table(ws, placebo)["variant"]) == {"hypernetwork~placebo"}


def _place(effects: Any) -> tuple[str, str]:
    (one,) = effects
    return one.run, one.name


def test_without_her_own_adapter_only_others_are_merged(ws: Workspace) -> None:
    spec = plan(ws, "mta", {**SETTINGS, "own": False}).runs
    merge = next(run.spec for run in spec if run.spec.experiment == "merge-topk")
    assert (merge.parameters["own"], merge.parameters["adapters"]) == (False, "hybrid")


def test_its_placebo_has_anothers_merge_and_anothers_delta(ws: Workspace, merged: RunSpec) -> None:
    placebo = do(ws, "placebo", of="mta", upstream={"of": merged.run_id})
    donors = read_json(ws.run_folder(placebo.run_id) / "placebo.json")["donors"]
    (mine,) = read_finished(ws, merged.run_id).variants
    (theirs,) = read_finished(ws, placebo.run_id).variants
    shelf = Shelf(ws)
    for persona, donor in donors.items():
        (swapped,) = shelf.sides(read_recipe(theirs.recipe), persona)
        (own,) = shelf.sides(read_recipe(mine.recipe), donor)
        assert swapped.effects == own.effects
    assert (table(ws, placebo)["reply"].to_numpy() != table(ws, merged)["reply"].to_numpy()).any()


def test_of_three_stages_each_lies_on_the_one_before(ws: Workspace, staged: RunSpec) -> None:
    (variant,) = read_finished(ws, staged.run_id).variants
    unified, group, own = read_recipe(variant.recipe).effects
    assert isinstance(unified, Weights)
    assert (group, own) == (Own(staged.upstream["below"]), Own(staged.run_id))
    told = read_json(ws.run_folder(staged.run_id) / "stages.json")["stages"]
    assert [(one["stage"], one["variant"]) for one in told] == [
        ("population", "unified"),
        ("group", "cluster-from-unified"),
        ("persona", "staged"),
    ]
    for one in told:
        rows = scores_of(ws, one["run"]).query("split == 'val'")
        mean = rows.groupby("persona_id")["embedding_similarity"].mean().mean()
        assert one["val"] == pytest.approx(mean, abs=1e-6)
    summary = read_finished(ws, staged.run_id).summary
    assert summary["val_persona"] == told[2]["val"]


def test_a_run_with_all_its_adapters_there_trains_none_of_them_again(ws: Workspace, staged: RunSpec) -> None:
    below = {"below": staged.upstream["below"]}
    again = do(ws, "staged", **SHORT, max_new_tokens=8, upstream=below)
    assert again.run_id != staged.run_id
    assert read_finished(ws, again.run_id).summary["adapters_taken_over"] == 4


def test_what_answers_in_lockstep_carries_no_delta(ws: Workspace, merged: RunSpec) -> None:
    mixture = do(ws, "mixture", first="hybrid", second="unified", weights=0.5)
    context = RunContext(ws, replace(merged, upstream={"below": mixture.run_id}))
    with pytest.raises(EngineError, match="lockstep"):
        bundles(context, Shelf(ws), [Group("persona_000", ("persona_000",))], [Lesson("persona_000", ())])
