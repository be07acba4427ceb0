"""Dropout's mask and its product in one pass over a GPU's memory, as a Triton kernel.

The same bits as engine/lm/dropout.py computes on any device; loaded on a GPU only.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]
    x,
    low,
    high,
    words,
    out,
    features,
    limit,
    scale,
    first: tl.constexpr,
    second: tl.constexpr,
    wide: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    feature = tl.arange(0, wide)
    there = feature < features
    word = tl.load(low + token) ^ tl.load(words + feature // 2, mask=there, other=0)
    word = (word ^ ((word >> 16) & 0xFFFF)) * first
    word = (word ^ ((word >> 15) & 0x1FFFF) ^ tl.load(high + token)) * second
    word = word ^ ((word >> 15) & 0x1FFFF)
    stays = ((word >> ((feature & 1) * 16)) & 0x7FFF) >= limit
    value = tl.load(x + token * features + feature, mask=there, other=0.0).to(tl.float32)
    kept = tl.where(stays, value * scale, 0.0)
    tl.store(out + token * features + feature, kept.to(out.dtype.element_ty), mask=there)


def masked(
    x: Tensor, low: Tensor, high: Tensor, words: Tensor, *, limit: int, scale: float, factors: tuple[int, int]
) -> Tensor:
    """Return x [..., in] with its mask applied; `low`, `high` [..., 1] are its tokens' words."""
    x = x.contiguous()
    out = torch.empty_like(x)
    features = x.shape[-1]
    launch: Any = _kernel[(x.numel() // features,)]
    launch(
        x, low.contiguous(), high.contiguous(), words, out, features, limit, scale,
        first=factors[0], second=factors[1], wide=triton.next_power_of_2(features),
    )  # fmt: skip
    return out
