"""Short forms of a model's modules: used where they agree with its own, never by name alone."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, silu

from engine.lm import dropout, fused
from engine.lm.load import load_base

GPU = torch.cuda.is_available()


class OddRMSNorm(nn.Module):
    """Named like the usual one, and adding one to its weight, as some do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.randn(width)), 1e-6

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        wide = hidden_states.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)).to(
            hidden_states.dtype
        )


def test_the_usual_normalisation_agrees_and_one_that_only_looks_like_it_does_not(tiny_base: Path) -> None:
    norm = load_base(str(tiny_base)).model.get_decoder().norm
    short = fused._short(norm)
    assert short is not None
    assert fused._agree(norm, short)
    odd = OddRMSNorm(32)
    assert not fused._agree(odd, partial(fused.normalised, odd, fused.rms_norm_at_once))


def test_a_gated_block_in_its_short_form_gives_what_it_gave(tiny_base: Path) -> None:
    """With the gate in plain operations, since the kernel needs a GPU."""
    block = load_base(str(tiny_base)).model.get_decoder().layers[0].mlp
    short = partial(fused.fed_forward, block, lambda gate, up: silu(gate) * up)
    assert fused._agree(block, short)
    assert not fused._agree(block, partial(fused.fed_forward, block, lambda gate, up: gate.relu() * up))


needs_triton = pytest.mark.skipif(
    fused.gpu_kernels() is None or not (GPU or os.environ.get("TRITON_INTERPRET")), reason="needs a GPU"
)
DEVICE = "cuda" if GPU else "cpu"


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_of_losses_leaves_their_gradient_in_place_of_the_logits(dtype: torch.dtype) -> None:
    kernels = fused.gpu_kernels()
    assert kernels is not None
    logits = (3 * torch.randn(7, 5001, device=DEVICE)).to(dtype)
    wanted, losses = torch.randint(0, 5001, (7,), device=DEVICE), torch.empty(7, device=DEVICE)
    wide = logits.float().requires_grad_()
    expected = cross_entropy(wide, wanted, reduction="none")
    (grad,) = torch.autograd.grad(expected.sum(), wide)
    untouched = logits.clone()
    kernels.losses_of(untouched, wanted, losses, back=False)
    assert torch.equal(untouched, logits)
    kernels.losses_of(logits, wanted, losses, back=True)
    torch.testing.assert_close(losses, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits.float(), grad, atol=1e-6 if dtype == torch.float32 else 4e-3, rtol=0)


@needs_triton
def test_the_kernel_of_the_gate_and_its_way_back_are_those_of_torch() -> None:
    kernels = fused.gpu_kernels()
    assert kernels is not None
    gate, up, grad = torch.randn(3, 5, 700, device=DEVICE).unbind(0)
    gate, up = gate.requires_grad_(), up.requires_grad_()
    ours, theirs = kernels.Gated.apply(gate, up), silu(gate) * up
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    for one, other in zip(
        torch.autograd.grad(ours, (gate, up), grad),
        torch.autograd.grad(theirs, (gate, up), grad),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@needs_triton
def test_the_kernel_of_rotary_positions_turns_and_turns_back() -> None:
    kernels = fused.gpu_kernels()
    assert kernels is not None
    x, grad = torch.randn(2, 9, 3, 16, device=DEVICE).unbind(0)
    angles = torch.randn(9, 8, device=DEVICE).repeat(1, 2)
    cos, sin, x = angles.cos(), angles.sin(), x.requires_grad_()
    low, high = x.chunk(2, dim=-1)
    theirs = x * cos.unsqueeze(1) + torch.cat([-high, low], dim=-1) * sin.unsqueeze(1)
    ours = kernels.Turned.apply(x, cos, sin)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    back = [torch.autograd.grad(one, x, grad)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*back, atol=1e-5, rtol=1e-5)


@needs_triton
@pytest.mark.parametrize("wide", [192, 193])
def test_the_kernel_of_dropout_has_the_bits_of_the_formula(wide: int) -> None:
    kernels = fused.gpu_kernels()
    assert kernels is not None
    low, high = (
        torch.randint(-(2**31), 2**31, (2, 9, 1), dtype=torch.int32, device=DEVICE) for _ in range(2)
    )
    x, limit = torch.randn(2, 9, wide, device=DEVICE), 1638
    there = kernels.dropped(
        x, low, high, dropout._words(-(-wide // 2), low.device),
        salts=(-77, 2**31 - 1), limit=limit, scale=dropout._scale(limit),
        factors=(dropout._FIRST, dropout._SECOND),
    )  # fmt: skip
    here = (x * dropout.kept(low ^ -77, high + (2**31 - 1), wide, limit, x.dtype)).mul_(dropout._scale(limit))
    assert torch.equal(there, here)
