"""Attention by blocks is torch's own attention: values, gradients, grouped heads, and whole models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from engine.lm.attention import NAME, CausalBlocks, prefer_causal_blocks
from engine.lm.lanes import twin
from engine.lm.load import load_base


@settings(deadline=None, max_examples=40)
@given(length=st.integers(1, 150), count=st.integers(1, 4), size=st.sampled_from([4, 32]))
def test_values_and_gradients_are_torchs(length: int, count: int, size: int) -> None:
    random = torch.Generator().manual_seed(length)
    own = [torch.randn(count, length, size, generator=random, requires_grad=True) for _ in range(3)]
    theirs = [one.detach().clone().requires_grad_() for one in own]
    weight = torch.randn(count, length, size, generator=random)
    mine = CausalBlocks.apply(*own, size**-0.5)
    expected = scaled_dot_product_attention(*theirs, is_causal=True)
    torch.testing.assert_close(mine, expected, atol=1e-5, rtol=0)
    (mine * weight).sum().backward()
    (expected * weight).sum().backward()
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("length", [5, 60, 200])
def test_a_model_says_the_same_and_so_do_its_gradients(tiny_base: Path, length: int) -> None:
    """The tiny base shares each key head between two query heads."""
    model = load_base(str(tiny_base)).model
    other = twin(model)
    prefer_causal_blocks(other)
    assert other.config._attn_implementation == NAME
    assert model.config._attn_implementation == "sdpa"
    ids = torch.arange(2 * length).view(2, length) % 50
    found = []
    for one in (model, other):
        embedded = one.get_input_embeddings()(ids).detach().requires_grad_()
        logits = one(inputs_embeds=embedded, use_cache=False).logits
        logits.square().sum().backward()
        found.append((logits.detach(), embedded.grad))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=1e-4)
    apart = (found[0][1] - found[1][1]).abs().max() / found[0][1].abs().max()
    assert float(apart) < 1e-5


def test_with_a_mask_or_without_gradients_torchs_own_is_used(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = twin(load_base(str(tiny_base)).model)
    prefer_causal_blocks(other)
    monkeypatch.setattr(CausalBlocks, "apply", lambda *_: pytest.fail("used where it must not be"))
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    padded = other(ids, attention_mask=torch.tensor([[0, 1, 1], [1, 1, 1]])).logits
    assert torch.isfinite(padded[1]).all()
    with torch.no_grad():
        assert torch.isfinite(other(ids).logits).all()
    with pytest.raises(pytest.fail.Exception, match="must not be"):
        other(ids)


def test_a_model_with_windows_keeps_its_own_attention(tiny_base: Path) -> None:
    model = twin(load_base(str(tiny_base)).model)
    model.config.layer_types = ["sliding_attention"] * len(model.config.layer_types)
    prefer_causal_blocks(model)
    assert model.config._attn_implementation == "sdpa"
