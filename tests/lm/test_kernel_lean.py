"""The kernels of a GPU's steps give what transformers' own operations give. Needs a GPU with a compiler."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from engine.lm import lean

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is in reach")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_short_way_is_found_and_the_model_says_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=192,
        vocab_size=300,
    )
    model = Qwen2ForCausalLM(config).to("cuda", dtype).eval()
    ways = lean.ways(model)
    assert {(type(owner).__name__, name) for owner, name, _ in ways.swaps} == {
        ("Qwen2RMSNorm", "forward"),
        ("Qwen2MLP", "forward"),
        ("module", "apply_rotary_pos_emb"),
    }
    assert ways.with_factors is not None
    assert (ways.attended is None) == (dtype == torch.float32)
    ids = torch.randint(0, 300, (3, 40), device="cuda")
    with torch.inference_mode():
        own = model(ids).logits.float()
        with lean.lean(model):
            short = model(ids).logits.float()
        again = model(ids).logits.float()
    assert torch.equal(own, again)
    assert (own - short).abs().max() <= (1e-5 if dtype == torch.float32 else 3e-2) * own.abs().max()
