"""Context steering over the embedded base: its two ends are known variants, and beyond them it is algebra."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.data.dataset import choose_examples, examples, load_dataset, load_splits
from engine.lm.asking import Asker
from engine.lm.effects import read_recipe
from engine.lm.load import load_base
from engine.lm.recipes import Shelf
from engine.results.store.intake import read_finished
from engine.runs.runfolder import RunSpec, read_events
from engine.strategies import registry
from engine.strategies.plan import plan
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 12}
do = in_process.doing(SETTINGS)
ROWS = 4 * 2 * 2  # personas, splits, examples


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_study(tmp_path_factory.mktemp("study"), Path("embedded"), dialogues=8)
    do(ws, "unified", epochs=1)
    do(ws, "retrieval", k=[2])
    return ws


def table(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id)


def variant_id(ws: Workspace, spec: RunSpec) -> str:
    (variant,) = read_finished(ws, spec.run_id).variants
    return variant.variant_id


@pytest.mark.parametrize(
    ("strength", "experiment", "given"), [(0.0, "unified", {"epochs": 1}), (1.0, "retrieval", {"k": [2]})]
)
def test_its_ends_are_the_recipe_and_the_recipe_with_its_context(
    ws: Workspace, strength: float, experiment: str, given: dict[str, Any]
) -> None:
    """Text for text, and as the same variant."""
    known = do(ws, experiment, **given)
    spec = do(ws, "context-steering", k=2, strengths=strength)
    same = ["split", "protocol", "example_id", "reply", "prompt_tokens", "reply_tokens"]
    pd.testing.assert_frame_equal(table(ws, spec)[same], table(ws, known)[same])
    assert variant_id(ws, spec) == variant_id(ws, known)


def test_beyond_its_context_each_token_is_the_likeliest_of_the_steered_logits(ws: Workspace) -> None:
    """Against plain algebra: two passes over the whole text so far, logits added, the greatest taken."""
    spec, strength = do(ws, "context-steering", k=2, strengths=2.5), 2.5
    base, shelf = load_base("embedded"), Shelf(ws)
    asker = Asker(ws, base, shelf, max_new_tokens=SETTINGS["max_new_tokens"])
    (variant,) = read_finished(ws, spec.run_id).variants
    assert variant.name == "unified+steered-retrieval-2-x2.5"
    assert variant.family == "steering"
    told = choose_examples(examples(load_dataset(ws), load_splits(ws), "test"), 2)
    rows = table(ws, spec).query("split == 'test'")
    assert rows["example_id"].tolist() == [one.example_id for one in told]
    unified = read_recipe({"effects": [{"kind": "weights", "run": spec.upstream["over"], "name": "unified"}]})
    lora = shelf.lora(spec.upstream["over"], "unified")
    changed = {path: b @ a * lora.scale for path, (a, b) in lora.factors.items()}
    plain = [ask.rows[0].ids for ask in asker.asks(unified, told)]
    shown = [ask.rows[0].ids for ask in asker.asks(unified.with_prompt(memories=2), told)]
    with torch.no_grad():
        for path, change in changed.items():
            base.model.get_submodule(path).weight += change
        try:
            for without, told_ids, reply in list(zip(plain, shown, rows["reply"], strict=True))[:4]:
                said: list[int] = []
                for _ in range(SETTINGS["max_new_tokens"]):
                    logits = [
                        base.model(torch.tensor([[*ids, *said]])).logits[0, -1] for ids in (without, told_ids)
                    ]
                    token = int((logits[0] + strength * (logits[1] - logits[0])).argmax())
                    text = base.tokenizer.decode([*said, token], skip_special_tokens=True)
                    if token == base.tokenizer.eos_token_id:
                        break
                    said.append(token)
                text = base.tokenizer.decode(said, skip_special_tokens=True).strip()
                assert text == reply.strip()
        finally:
            for path, change in changed.items():
                base.model.get_submodule(path).weight -= change


def test_the_strength_that_is_best_on_val_is_kept(ws: Workspace) -> None:
    spec = do(ws, "context-steering", k=2, strengths=[0.0, 1.0, 2.0])
    sweep = read_json(ws.run_folder(spec.run_id) / "sweep.json")
    means = {point["value"]: point["mean"] for point in sweep["points"]}
    assert list(means) == ["0", "1", "2"]
    assert means[f"{sweep['best']:g}"] == max(means.values())
    told = [event for event in read_events(ws.run_folder(spec.run_id)) if event["kind"] == "weight"]
    assert {event["weight"]: event["val"] for event in told} == means
    for strength, known in (("0", do(ws, "unified", epochs=1)), ("1", do(ws, "retrieval", k=[2]))):
        val = table(ws, known).query("split == 'val'").groupby("persona_id")["embedding_similarity"].mean()
        assert val.mean() == pytest.approx(means[strength], abs=1e-6)
    assert len(table(ws, spec)) == ROWS


def test_stopped_at_every_chance_it_ends_like_one_left_alone(ws: Workspace) -> None:
    spec = do(ws, "context-steering", k=1, strengths=[0.5, 2.0])
    folder = ws.run_folder(spec.run_id)
    left_alone, sweep = table(ws, spec), read_json(folder / "sweep.json")
    assert (
        in_process.do_stopping(ws, spec, registry.get("context-steering").step) > 3
    )  # in both strengths, in the replies, and to the end
    assert read_json(folder / "sweep.json") == sweep
    assert not list(folder.glob("replies-*.jsonl"))
    pd.testing.assert_frame_equal(table(ws, spec).drop(columns="seconds"), left_alone.drop(columns="seconds"))


def test_the_profile_is_a_context_too_and_it_is_mixed_and_has_a_placebo(ws: Workspace) -> None:
    spec = do(ws, "context-steering", over="base", shown="both", k=1, strengths=1.5)
    (variant,) = read_finished(ws, spec.run_id).variants
    assert variant.name == "base+steered-profile-retrieval-1-x1.5"
    placebo = do(ws, "placebo", of="context-steering", upstream={"of": spec.run_id})
    donors = read_json(ws.run_folder(placebo.run_id) / "placebo.json")["donors"]
    own = {one.example_id: one.persona_id for one in examples(load_dataset(ws), load_splits(ws), "train")}
    rows = table(ws, placebo)
    assert set(rows["variant"]) == {f"{variant.name}~placebo"}
    for row in rows.itertuples():
        shown = json.loads(row.retrieved)
        assert {own[memory["example_id"]] for memory in shown} == {donors[row.persona_id]}
    assert (rows["reply"].to_numpy() != table(ws, spec)["reply"].to_numpy()).any()
    mixed = do(ws, "mixture", first="context-steering", weights=0.6, second="base")
    assert len(table(ws, mixed)) == ROWS


def test_it_is_refused_where_there_is_no_such_context(tmp_path: Path) -> None:
    ws = prepare_study(tmp_path / "strangers", Path("embedded"), personas=10, dialogues=2, split="by-persona")
    with pytest.raises(EngineError, match="no history"):
        plan(ws, "context-steering")
    assert plan(ws, "context-steering", {"shown": "profile"}).target.purpose == "asked"
