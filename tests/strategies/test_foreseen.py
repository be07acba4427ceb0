"""What a run would refuse at its start is refused at the plan, with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.strategies import registry
from engine.strategies.plan import plan
from engine.strategies.spec import ChosenOnVal
from tests.workspaces import finish, make_workspace

ON_TEST = {"splits": ["test"]}


@pytest.mark.parametrize(
    ("experiment", "given", "message", "hint"),
    [
        ("context-steering", ON_TEST, "strengths is chosen on val", "strengths=0.5"),
        ("steering-vectors", ON_TEST, "depths, scales is chosen on val", "splits=val,test"),
        ("mixture", {**ON_TEST, "weights": [0.2, 0.8]}, "weights is chosen on val", "weights=0.5"),
        ("mixture", {**ON_TEST, "second": "retrieval"}, "no scores on val", "splits=val,test"),
        ("placebo", {**ON_TEST, "of": "retrieval"}, "no scores on val", "splits=val,test"),
        ("merge-weighted", ON_TEST, "val scores", "splits=val,test"),
        ("routing", ON_TEST, "chosen on val", "splits=val,test"),
        ("tuned", {}, "one setting only", "tune unified"),
        ("placebo", {"of": "retrieval", "k": 7}, "7 memories", "0, 1, 3, 5"),
        ("placebo", {"of": "hybrid", "k": 3}, "3 memories", "It has: 0"),
        ("clustering", {"k": [6, 1]}, "cannot be split into 1 or 6", "2 to 5"),
        ("cluster", {"cluster": 6}, "no cluster 6", "above 5"),
        ("merge-cluster", {"cluster": 6}, "no cluster 6", "above 5"),
        ("hypernetwork-trained", {"held_out": 0.8}, "knows 6 personas", "held_out=0.2"),
        ("cluster-from-unified", {"start": "weights", "rank": 4}, "another shape", "--set rank=8"),
    ],
)
def test_it_is_said_before_the_run(
    ws: Workspace, experiment: str, given: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(EngineError) as caught:
        plan(ws, experiment, given)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("experiment", "given"),
    [
        ("context-steering", {**ON_TEST, "strengths": [1.5]}),
        ("mixture", {**ON_TEST, "weights": [0.2]}),
        ("placebo", {**ON_TEST, "of": "retrieval", "k": 3}),
        ("placebo", {"of": "hybrid", "k": 0}),
        ("clustering", {"k": [500, 5]}),
        ("merge-cluster", {"cluster": 5}),
        ("cluster-from-unified", {"start": "weights"}),
    ],
)
def test_what_can_be_is_planned(ws: Workspace, experiment: str, given: dict[str, Any]) -> None:
    assert plan(ws, experiment, given).target.spec.experiment == experiment


def with_base(root: Path, **config: Any) -> Workspace:
    ws = make_workspace(root)
    folder = Path(str(ws.read_config()["base"]))
    write_json(folder / "config.json", {**read_json(folder / "config.json"), **config})
    return ws


@pytest.mark.parametrize(
    ("name", "fits"), [("model.layers", True), ("transformer.h", True), ("mpt.blocks", False)]
)
def test_a_base_whose_layers_take_no_offset_is_refused(tmp_path: Path, name: str, fits: bool) -> None:
    ws = make_workspace(tmp_path)
    tensors = {
        f"{name}.{layer}.self_attn.{of}.weight": np.zeros((4, 4))
        for layer in (0, 1)
        for of in ("q_proj", "v_proj")
    }
    save_file(tensors, Path(str(ws.read_config()["base"])) / "model.safetensors")
    if fits:
        plan(ws, "steering-vectors")
    else:
        with pytest.raises(EngineError, match="nothing can be added"):
            plan(ws, "steering-vectors")


def test_a_base_without_room_is_refused(tmp_path: Path) -> None:
    ws = with_base(tmp_path, max_position_embeddings=128)
    with pytest.raises(EngineError, match="window of 128") as caught:
        plan(ws, "unified", {"max_new_tokens": 128})
    assert "max_new_tokens" in (caught.value.hint or "")
    plan(ws, "unified", {"max_new_tokens": 127})
    with pytest.raises(EngineError, match="behind a prefix of 64"):
        plan(ws, "prefix", {"length": 64, "max_new_tokens": 64})


@pytest.mark.parametrize("name", ["prefix", "global-prefix", "prefix-unified", "projected-profile"])
def test_a_base_that_takes_no_prefix_is_refused_one(tmp_path: Path, name: str) -> None:
    ws = with_base(tmp_path, layer_types=["sliding_attention", "full_attention"])
    with pytest.raises(EngineError, match="takes no prefix") as caught:
        plan(ws, name)
    assert "LoRA" in (caught.value.hint or "")
    plan(ws, "hybrid")


def test_an_adapter_that_is_more_than_two_factors_is_refused(ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "adapters" / "P0"
    write_json(folder / "adapter_config.json", {"peft_type": "LORA", "r": 4, "use_dora": True})
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(EngineError, match="use_dora"):
        plan(ws, "imported-adapters", {"folder": str(folder.parent)})


def test_a_run_that_is_done_is_planned_whatever_would_be_said_today(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: object) -> None:
        raise EngineError("It can only fail.")

    finish(ws, "gain")
    monkeypatch.setitem(registry.EXPERIMENTS, "gain", replace(registry.EXPERIMENTS["gain"], fits=never))
    assert plan(ws, "gain").target.state == "succeeded"
    with pytest.raises(EngineError, match="only fail"):
        plan(ws, "gain", {"lift": 0.5})


def test_every_list_whose_best_is_kept_says_so() -> None:
    """The words of a form and the mark that a plan goes by are the same thing."""
    for entry in registry.EXPERIMENTS.values():
        for name, field in entry.parameters.model_fields.items():
            told = "best on val is kept" in " ".join((field.description or "").split())
            marked = any(isinstance(mark, ChosenOnVal) for mark in field.metadata)
            assert told == marked, f"{entry.name}.{name}"


NEEDS_MORE = {"imported-adapters": "holds no adapters", "tuned": "one setting only"}
"""What has to be given or made first, and what is said without it."""


@pytest.mark.parametrize("name", registry.EXPERIMENTS)
def test_every_strategy_is_planned_by_its_defaults_and_each_personal_one_has_a_placebo(
    counting: None, tmp_path: Path, name: str
) -> None:
    ws = make_workspace(tmp_path, truth=True)
    if name in NEEDS_MORE:
        with pytest.raises(EngineError, match=NEEDS_MORE[name]):
            plan(ws, name)
        return
    assert plan(ws, name, controls=True).target.spec.experiment == name
    if name in registry.having("personal", registry.EXPERIMENTS):
        planned = plan(ws, "placebo", {"of": name})
        assert planned.target.spec.upstream["of"] in {run.run_id for run in planned.runs}
