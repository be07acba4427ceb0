"""Adapters from elsewhere become a variant that answers as they do where they come from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.runs import manifest
from engine.strategies.plan import plan
from tests import in_process
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 6}


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    ws = prepare_study(tmp_path_factory.mktemp("study"), tiny_base)
    in_process.attempt(ws, "per-persona", {**SETTINGS, "learning_rate": 0.05})
    return ws


@pytest.fixture
def elsewhere(ws: Workspace, tmp_path: Path) -> Path:
    (made,) = ws.models.glob("per-persona-*")
    folder = tmp_path / "elsewhere"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("*.json.lock", "personas.json"))
    return folder


def replies(ws: Workspace, run_id: str) -> list[str]:
    return list(pd.read_parquet(ws.run_folder(run_id) / "replies.parquet").sort_values("example_id")["reply"])


def test_they_answer_as_where_they_come_from(ws: Workspace, elsewhere: Path) -> None:
    (made,) = ws.models.glob("per-persona-*")
    given = {**SETTINGS, "folder": str(elsewhere), "variant": "theirs"}
    spec = in_process.attempt(ws, "imported-adapters", given)
    done = manifest.read(ws.run_folder(spec.run_id))
    assert [one["name"] for one in done["variants"]] == ["theirs"]
    assert replies(ws, spec.run_id) == replies(ws, made.name)
    assert len(set(replies(ws, spec.run_id))) > 1
    assert {one.name for one in ws.adapters(spec.run_id).iterdir() if one.is_dir()} == {
        one.name for one in elsewhere.iterdir()
    }


def test_another_base_is_told_and_an_orthogonal_start_is_plain(ws: Workspace, elsewhere: Path) -> None:
    for one in elsewhere.iterdir():
        config = json.loads((one / "adapter_config.json").read_text())
        config |= {"base_model_name_or_path": "meta/other-1B", "init_lora_weights": "orthogonal"}
        (one / "adapter_config.json").write_text(json.dumps(config))
    spec = in_process.attempt(ws, "imported-adapters", {**SETTINGS, "folder": str(elsewhere)})
    assert manifest.read(ws.run_folder(spec.run_id))["summary"]["trained_over"] == ["meta/other-1B"]
    (made,) = ws.models.glob("per-persona-*")
    assert replies(ws, spec.run_id) == replies(ws, made.name)


def test_other_contents_are_another_run(ws: Workspace, elsewhere: Path) -> None:
    given = {**SETTINGS, "folder": str(elsewhere)}
    before = plan(ws, "imported-adapters", given).target.run_id
    assert plan(ws, "imported-adapters", given).target.run_id == before
    shutil.rmtree(sorted(elsewhere.iterdir())[0])
    assert plan(ws, "imported-adapters", given).target.run_id != before


def test_what_does_not_fit_is_refused_in_words(ws: Workspace, elsewhere: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="holds no adapters"):
        plan(ws, "imported-adapters", {"folder": str(tmp_path / "nowhere")})
    with pytest.raises(EngineError, match="holds no adapters"):
        plan(ws, "imported-adapters")
    one = sorted(elsewhere.iterdir())[0]
    (one / "adapter_model.safetensors").rename(one / "adapter_model.bin")
    with pytest.raises(EngineError, match=r"and no adapter_model\.safetensors"):
        plan(ws, "imported-adapters", {"folder": str(elsewhere)})
    (one / "adapter_model.bin").rename(one / "adapter_model.safetensors")
    one.rename(elsewhere / "nobody")
    with pytest.raises(EngineError, match="'nobody'"):
        plan(ws, "imported-adapters", {"folder": str(elsewhere)})
    (elsewhere / "nobody").rename(one)
    weights = one / "adapter_model.safetensors"
    before, tensors = weights.read_bytes(), load_file(weights)
    narrow = {name: tensor[:, :-1] if "lora_A" in name else tensor for name, tensor in tensors.items()}
    deeper = {name.replace("layers.0.", "layers.99."): tensor for name, tensor in tensors.items()}
    other = {name.replace("q_proj", "c_attn"): tensor for name, tensor in tensors.items()}
    for wrong, told in (
        (narrow, "of another size than this base in model.layers"),
        (deeper, r"layers\.99.*no linear layer"),
        (other, "c_attn, which is no linear layer"),
    ):
        save_file({name: tensor.contiguous() for name, tensor in wrong.items()}, weights)
        with pytest.raises(EngineError, match=told) as caught:
            plan(ws, "imported-adapters", {"folder": str(elsewhere)})
        assert "base use" in caught.value.hint
    weights.write_bytes(before)
    plan(ws, "imported-adapters", {"folder": str(elsewhere)})
    config = one / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "use_dora": True}))
    with pytest.raises(EngineError, match="use_dora"):
        plan(ws, "imported-adapters", {"folder": str(elsewhere)})
