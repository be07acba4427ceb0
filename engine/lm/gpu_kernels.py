"""What a GPU does element by element in training, each in one pass over its memory: Triton kernels.

Dropout with the bits of engine/lm/dropout.py, the loss of logits with its gradient in their place, the gate
of a feed-forward block, and rotary positions. Loaded on a GPU only; Triton comes with torch there.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK, _LOGITS_BLOCK = 1024, 4096


@triton.jit(do_not_specialize=["one", "two", "limit"])
def _drop(  # type: ignore[no-untyped-def]
    x, low, high, words, out, features, one, two, limit, scale,
    first: tl.constexpr, second: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    feature = tl.arange(0, wide)
    there = feature < features
    word = tl.load(low + token) ^ one ^ tl.load(words + feature // 2, mask=there, other=0)
    word = (word ^ ((word >> 16) & 0xFFFF)) * first
    word = (word ^ ((word >> 15) & 0x1FFFF) ^ (tl.load(high + token) + two)) * second
    word = word ^ ((word >> 15) & 0x1FFFF)
    stays = ((word >> ((feature & 1) * 16)) & 0x7FFF) >= limit
    value = tl.load(x + token * features + feature, mask=there, other=0.0).to(tl.float32)
    kept = tl.where(stays, value * scale, 0.0)
    tl.store(out + token * features + feature, kept.to(out.dtype.element_ty), mask=there)


def dropped(
    x: Tensor, low: Tensor, high: Tensor, words: Tensor, *, salts: tuple[int, int], limit: int, scale: float,
    factors: tuple[int, int],
) -> Tensor:  # fmt: skip
    """Return x [..., in] with its mask in a module of these salts; `low`, `high` are its tokens' words."""
    x = x.contiguous()
    out, features = torch.empty_like(x), x.shape[-1]
    launch: Any = _drop[(x.numel() // features,)]
    launch(
        x, low, high, words, out, features, *salts, limit, scale,
        first=factors[0], second=factors[1], wide=triton.next_power_of_2(features),
    )  # fmt: skip
    return out


@triton.jit
def _loss(  # type: ignore[no-untyped-def]
    logits, wanted, losses, columns: tl.constexpr, back: tl.constexpr, block: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    own = logits + row * columns
    token = tl.load(wanted + row)
    said = tl.load(own + token).to(tl.float32)  # before anything is written in its place
    most = -float("inf")
    total = 0.0
    for start in range(0, columns, block):
        column = start + tl.arange(0, block)
        value = tl.load(own + column, mask=column < columns, other=-float("inf")).to(tl.float32)
        larger = tl.maximum(most, tl.max(value, 0))
        total = total * tl.exp(most - larger) + tl.sum(tl.exp(value - larger), 0)
        most = larger
    whole = most + tl.log(total)
    tl.store(losses + row, whole - said)
    if back:
        for start in range(0, columns, block):
            column = start + tl.arange(0, block)
            value = tl.load(own + column, mask=column < columns, other=0.0).to(tl.float32)
            share = tl.exp(value - whole) - tl.where(column == token, 1.0, 0.0)
            tl.store(own + column, share.to(logits.dtype.element_ty), mask=column < columns)


def losses_of(logits: Tensor, wanted: Tensor, losses: Tensor, *, back: bool) -> None:
    """Write the losses [M] of the tokens `wanted` [M] under logits [M, V]; their gradient into the logits."""
    launch: Any = _loss[(len(logits),)]
    launch(logits, wanted, losses, columns=logits.shape[1], back=back, block=_LOGITS_BLOCK, num_warps=8)


@triton.jit
def _gate(gate, up, out, count, block: tl.constexpr):  # type: ignore[no-untyped-def]
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = place < count
    g = tl.load(gate + place, mask=there, other=0.0).to(tl.float32)
    u = tl.load(up + place, mask=there, other=0.0).to(tl.float32)
    tl.store(out + place, (g * tl.sigmoid(g) * u).to(out.dtype.element_ty), mask=there)


@triton.jit
def _gate_back(  # type: ignore[no-untyped-def]
    grad, gate, up, to_gate, to_up, count, block: tl.constexpr
):
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = place < count
    d = tl.load(grad + place, mask=there, other=0.0).to(tl.float32)
    g = tl.load(gate + place, mask=there, other=0.0).to(tl.float32)
    u = tl.load(up + place, mask=there, other=0.0).to(tl.float32)
    open_ = tl.sigmoid(g)
    tl.store(to_up + place, (d * g * open_).to(to_up.dtype.element_ty), mask=there)
    slope = open_ * (1.0 + g * (1.0 - open_))
    tl.store(to_gate + place, (d * u * slope).to(to_gate.dtype.element_ty), mask=there)


class Gated(torch.autograd.Function):
    """silu(gate) * up, computed and rounded once."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        ctx.save_for_backward(gate, up)
        out = torch.empty_like(gate)
        launch: Any = _gate[(triton.cdiv(gate.numel(), _BLOCK),)]
        launch(gate, up, out, gate.numel(), block=_BLOCK)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        to_gate, to_up = torch.empty_like(gate), torch.empty_like(up)
        launch: Any = _gate_back[(triton.cdiv(gate.numel(), _BLOCK),)]
        launch(grads[0].contiguous(), gate, up, to_gate, to_up, gate.numel(), block=_BLOCK)
        return to_gate, to_up


@triton.jit
def _turn(  # type: ignore[no-untyped-def]
    x, cos, sin, out, heads, sign, half: tl.constexpr, wide: tl.constexpr, tall: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    head, place = tl.arange(0, tall)[:, None], tl.arange(0, wide)[None, :]
    there = (head < heads) & (place < half)
    low_at = (token * heads + head) * (2 * half) + place
    low = tl.load(x + low_at, mask=there, other=0.0).to(tl.float32)
    high = tl.load(x + low_at + half, mask=there, other=0.0).to(tl.float32)
    c = tl.load(cos + token * (2 * half) + place, mask=place < half, other=0.0).to(tl.float32)
    s = tl.load(sin + token * (2 * half) + place, mask=place < half, other=0.0).to(tl.float32) * sign
    tl.store(out + low_at, (low * c - high * s).to(out.dtype.element_ty), mask=there)
    tl.store(out + low_at + half, (high * c + low * s).to(out.dtype.element_ty), mask=there)


class Turned(torch.autograd.Function):
    """Queries or keys [N, H, D] turned by rotary positions, cos and sin [N, D], whose halves are alike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, sin, -1.0), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor, sign: float) -> Tensor:
    x = x.contiguous()
    out, (tokens, heads, size) = torch.empty_like(x), x.shape
    launch: Any = _turn[(tokens,)]
    half = size // 2
    launch(
        x, cos.contiguous(), sin.contiguous(), out, heads, sign,
        half=half, wide=triton.next_power_of_2(half), tall=triton.next_power_of_2(heads),
    )  # fmt: skip
    return out
