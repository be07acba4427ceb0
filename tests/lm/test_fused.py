"""Short forms of a model's modules: used where they agree with its own, never by name alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import silu

from engine.lm import fused
from engine.lm.load import load_base


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
    short = fused._short(norm, None)
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
