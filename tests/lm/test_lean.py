"""Short ways give what a model's own operations give, and are gone afterwards; unusual ones stay."""

from __future__ import annotations

import torch
from transformers import GemmaConfig, GemmaForCausalLM

from engine.lm.lean import lean, ways
from engine.lm.load import Base


def test_normalisation_at_once_gives_the_same_logits_and_leaves_no_trace(base: Base) -> None:
    ids = torch.arange(24, device=base.model.device).view(2, 12) + 5
    with torch.no_grad():
        own = base.model(ids).logits
        with lean(base.model):
            short = base.model(ids).logits
    assert len(ways(base.model).swaps) == 2 * base.model.config.num_hidden_layers + 1
    assert torch.allclose(own, short, atol=1e-5)
    assert all("forward" not in vars(module) for module in base.model.modules())


def test_a_norm_that_is_not_the_usual_one_is_left_alone() -> None:
    """Gemma multiplies by one more than its weights: the name alone would mislead."""
    config = GemmaConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        vocab_size=64,
        head_dim=16,
    )
    model = GemmaForCausalLM(config)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.variance_epsilon = 1e-6
    assert ways(model).swaps == ()
