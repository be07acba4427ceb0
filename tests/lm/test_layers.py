"""The usual layers of an architecture, and names that a base has not got."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFTS
from transformers import AutoConfig, AutoModelForCausalLM

from engine.core.errors import EngineError
from engine.core.paths import embedded_base
from engine.lm.adapters import linear_layers
from engine.lm.layers import AUTO, AUTO_ONE, USUAL, chosen_layers, layer_names, usual_layers

SHAPES = {
    "gpt_neox": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "phi3": {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "num_key_value_heads": 2, "pad_token_id": 0,
    },
    "falcon": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
    "mpt": {"d_model": 16, "n_layers": 2, "n_heads": 2},
    "opt": {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32,
        "word_embed_proj_dim": 16,
    },
    "llama": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
    "deepseek_v2": {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
        "intermediate_size": 32, "moe_intermediate_size": 8, "n_routed_experts": 2, "num_experts_per_tok": 1,
        "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "kv_lora_rank": 8, "q_lora_rank": 8,
        "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4,
    },
}  # fmt: skip
EXPECTED = {
    "gpt_neox": ["query_key_value"], "gpt2": ["c_attn"], "phi3": ["qkv_proj"], "falcon": ["query_key_value"],
    "mpt": ["Wqkv"], "opt": ["q_proj", "v_proj"], "llama": ["q_proj", "v_proj"],
    "mamba": ["in_proj"], "deepseek_v2": ["q_b_proj", "kv_b_proj"],
}  # fmt: skip


def tiny(kind: str, folder: Path) -> Path:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=48, **SHAPES[kind])
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def test_the_table_is_pefts() -> None:
    assert {kind: tuple(PEFTS[kind]) for kind in USUAL} == USUAL


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_headers_tell_the_layers_that_the_model_has(kind: str, tmp_path: Path) -> None:
    folder = tiny(kind, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(folder)
    there = {path.rsplit(".", 1)[-1] for path in linear_layers(model)}
    assert set(layer_names(folder) or ()) == there
    assert usual_layers(folder) == EXPECTED[kind]


def test_names_a_base_has_not_got_are_refused_with_those_it_has(tmp_path: Path) -> None:
    folder = tiny("gpt2", tmp_path)
    with pytest.raises(EngineError, match="no layer called q_proj, v_proj") as refused:
        chosen_layers(folder, ["q_proj", "v_proj"])
    assert refused.value.hint == "target_modules may hold: c_attn, c_fc, c_proj."
    with pytest.raises(EngineError, match="stand alone"):
        chosen_layers(folder, [AUTO, "c_attn"])


def test_auto_is_what_it_was_on_the_embedded_base() -> None:
    assert chosen_layers(embedded_base(), [AUTO]) == ["q_proj", "v_proj"]
    assert chosen_layers(embedded_base(), [AUTO_ONE]) == ["q_proj"]
