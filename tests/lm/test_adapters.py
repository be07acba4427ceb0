"""Adapters in PEFT's format: what is read, what is refused in words, and which base a written one names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine.core.errors import EngineError
from engine.core.paths import embedded_base
from engine.lm.adapters import load_lora, save_lora
from engine.lm.load import load_base
from engine.lm.shape import LoraShape


@pytest.fixture
def adapter(tiny_base: Path, tmp_path: Path) -> Path:
    """A trained-looking adapter as PEFT saves it."""
    return saved(tiny_base, tmp_path / "adapter")


def saved(tiny_base: Path, folder: Path, **options: Any) -> Path:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"], **options)
    peft: Any = get_peft_model(model, config)
    for name, weight in peft.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.2)
    peft.save_pretrained(folder)
    return folder


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights=pissa_niter_4"),
        ({"init_lora_weights": "olora"}, "init_lora_weights=olora"),
        ({"init_lora_weights": "corda"}, "init_lora_weights=corda"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights=loftq"),
        ({"use_dora": True}, "use_dora"),
        ({"lora_bias": True}, "lora_bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"bias": "all"}, "bias=all"),
        ({"peft_type": "IA3"}, "IA3"),
    ],
)
def test_what_is_more_than_low_rank_factors_is_refused_by_name(
    adapter: Path, option: dict[str, Any], told: str
) -> None:
    rewrite(adapter, **option)
    with pytest.raises(EngineError, match="no plain LoRA") as refused:
        load_lora(adapter)
    assert told in refused.value.message


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva"])
def test_beginnings_that_leave_the_base_alone_are_read(adapter: Path, start: bool | str) -> None:
    rewrite(adapter, init_lora_weights=start)
    assert load_lora(adapter).factors


def test_no_tensor_is_passed_over(adapter: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    extra = "base_model.model.model.embed_tokens.weight"
    save_file({**tensors, extra: torch.zeros(3, 3)}, weights)
    with pytest.raises(EngineError, match=extra):
        load_lora(adapter)
    name = next(one for one in tensors if "lora_B" in one)
    save_file({key: value for key, value in tensors.items() if key != name}, weights)
    with pytest.raises(EngineError, match="no pair"):
        load_lora(adapter)
    save_file({}, weights)
    with pytest.raises(EngineError, match="no A and B"):
        load_lora(adapter)


@pytest.mark.parametrize("rslora", [False, True])
def test_an_adapter_read_here_changes_weights_as_in_peft(
    tiny_base: Path, tmp_path: Path, rslora: bool
) -> None:
    folder = saved(tiny_base, tmp_path / "adapter", use_rslora=rslora)
    lora = load_lora(folder)
    plain = AutoModelForCausalLM.from_pretrained(tiny_base)
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), folder)
    theirs = merged.merge_and_unload().state_dict()  # type: ignore[operator]
    for path, (a, b) in lora.factors.items():
        ours = plain.state_dict()[f"{path}.weight"] + lora.scale * b @ a
        assert torch.allclose(ours, theirs[f"{path}.weight"], atol=1e-6)


def test_a_written_adapter_names_a_base_that_peft_finds(adapter: Path, tmp_path: Path) -> None:
    lora = load_lora(adapter)
    shape = LoraShape(rank=4, alpha=6, target_modules=["q_proj", "v_proj"])
    told = {}
    for base in ("embedded", "owner/name@" + "a" * 40, "owner/name", ""):
        save_lora(lora, shape, tmp_path / "own", base=base)
        config = json.loads((tmp_path / "own" / "adapter_config.json").read_text())
        told[base] = config["base_model_name_or_path"], config["revision"]
    assert list(told.values()) == [
        (str(embedded_base()), None),
        ("owner/name", "a" * 40),
        ("owner/name", None),
        (None, None),
    ]


def test_peft_opens_an_exported_adapter_by_what_it_names(tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    from engine.lm.adapters import fresh, targets

    base = load_base("embedded")
    shape = LoraShape(target_modules=["q_proj"])
    save_lora(fresh(targets(base.model, ["q_proj"]), shape, seed=0), shape, tmp_path / "one", base="embedded")
    opened = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "one")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.allclose(opened(input_ids=ids).logits, base.model(input_ids=ids).logits, atol=1e-5)
