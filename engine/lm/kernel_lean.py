"""Two steps of a decoder layer in one pass over a GPU's memory each, as Triton kernels; loaded on a GPU only.

They round where transformers' own operations round: after every product and every sum.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024
_ROOM_OF_A_BLOCK = 8192
"""Entries of keys in a block of positions: more would not fit beside one another on cards with 99 KB."""


@triton.jit
def _gated(gate, up, out, count, block: tl.constexpr):  # type: ignore[no-untyped-def]
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = place < count
    kind = out.dtype.element_ty
    x = tl.load(gate + place, mask=there, other=0.0).to(tl.float32)
    y = tl.load(up + place, mask=there, other=0.0).to(tl.float32)
    x = (x / (1.0 + tl.exp(-x))).to(kind).to(tl.float32)
    tl.store(out + place, (x * y).to(kind), mask=there)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """Return silu(gate) * up for two tensors of one shape."""
    gate, up = gate.contiguous(), up.contiguous()
    out = torch.empty_like(gate)
    launch: Any = _gated[(triton.cdiv(out.numel(), _BLOCK),)]
    launch(gate, up, out, out.numel(), block=_BLOCK)
    return out


@triton.jit
def _turned(  # type: ignore[no-untyped-def]
    given, cos, sin, out, token, heads, half: tl.constexpr, padded: tl.constexpr, wide: tl.constexpr
):
    kind = out.dtype.element_ty
    head, place = tl.arange(0, padded)[:, None], tl.arange(0, wide)[None, :]
    there = (head < heads) & (place < half)
    seen = place < half
    low = (token * heads + head) * (2 * half) + place
    turn = token * (2 * half) + place
    x = tl.load(given + low, mask=there, other=0.0).to(tl.float32)
    y = tl.load(given + low + half, mask=there, other=0.0).to(tl.float32)
    c = tl.load(cos + turn, mask=seen, other=0.0).to(tl.float32)
    s = tl.load(sin + turn, mask=seen, other=0.0).to(tl.float32)
    d = tl.load(cos + turn + half, mask=seen, other=0.0).to(tl.float32)
    t = tl.load(sin + turn + half, mask=seen, other=0.0).to(tl.float32)
    first = (x * c).to(kind).to(tl.float32) + (-y * s).to(kind).to(tl.float32)
    second = (y * d).to(kind).to(tl.float32) + (x * t).to(kind).to(tl.float32)
    tl.store(out + low, first.to(kind), mask=there)
    tl.store(out + low + half, second.to(kind), mask=there)


@triton.jit
def _both_turned(  # type: ignore[no-untyped-def]
    query, key, cos, sin, query_out, key_out,
    heads: tl.constexpr, key_heads: tl.constexpr, half: tl.constexpr,
    padded: tl.constexpr, key_padded: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    _turned(query, cos, sin, query_out, token, heads, half, padded, wide)
    _turned(key, cos, sin, key_out, token, key_heads, half, key_padded, wide)


def turned(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Return queries [B, H, T, D] and keys [B, K, T, D] turned by their positions' cos and sin [B, T, D]."""
    rows, heads, length, size = query.shape
    flat = [one.transpose(1, 2).contiguous() for one in (query, key)]
    out = [torch.empty_like(one) for one in flat]
    cos, sin = (one.expand(rows, length, size).contiguous() for one in (cos, sin))
    next_power: Any = triton.next_power_of_2
    launch: Any = _both_turned[(rows * length,)]
    launch(
        *flat, cos, sin, *out,
        heads=heads, key_heads=key.shape[1], half=size // 2, padded=next_power(heads),
        key_padded=next_power(key.shape[1]), wide=next_power(size // 2),
    )  # fmt: skip
    return out[0].transpose(1, 2), out[1].transpose(1, 2)


@triton.jit
def _normed(given, weight, out, wide, epsilon, block: tl.constexpr):  # type: ignore[no-untyped-def]
    row, place = tl.program_id(0).to(tl.int64), tl.arange(0, block)
    there = place < wide
    kind = out.dtype.element_ty
    x = tl.load(given + row * wide + place, mask=there, other=0.0).to(tl.float32)
    w = tl.load(weight + place, mask=there, other=0.0).to(tl.float32)
    x = (x * tl.rsqrt(tl.sum(x * x, axis=0) / wide + epsilon)).to(kind).to(tl.float32)
    tl.store(out + row * wide + place, (w * x).to(kind), mask=there)


def normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return x [..., d] over the root of the mean of its squares, times `weight` [d]."""
    x, wide = x.contiguous(), x.shape[-1]
    out = torch.empty_like(x)
    launch: Any = _normed[(x.numel() // wide,)]
    launch(x, weight, out, wide, epsilon, block=triton.next_power_of_2(wide))
    return out


@triton.jit
def _with_factors(  # type: ignore[no-untyped-def]
    given, a, b, names, output, out, wide: tl.constexpr, tall: tl.constexpr,
    rank: tl.constexpr, ranks: tl.constexpr, inner: tl.constexpr, outer: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    name = tl.load(names + row)
    kind = out.dtype.element_ty
    r, through = tl.arange(0, ranks), tl.zeros([ranks], dtype=tl.float32)
    for start in range(0, wide, inner):
        k = start + tl.arange(0, inner)
        x = tl.load(given + row * wide + k, mask=k < wide, other=0.0).to(tl.float32)
        there = (k < wide)[:, None] & (r < rank)[None, :]
        factor = tl.load(a + (name * wide + k[:, None]) * rank + r[None, :], mask=there, other=0.0)
        through += tl.sum(x[:, None] * factor.to(tl.float32), axis=0)
    through = through.to(kind).to(tl.float32)
    for start in range(0, tall, outer):
        n = start + tl.arange(0, outer)
        there = (r < rank)[:, None] & (n < tall)[None, :]
        factor = tl.load(b + (name * rank + r[:, None]) * tall + n[None, :], mask=there, other=0.0)
        change = tl.sum(through[:, None] * factor.to(tl.float32), axis=0).to(kind).to(tl.float32)
        before = tl.load(output + row * tall + n, mask=n < tall, other=0.0).to(tl.float32)
        tl.store(out + row * tall + n, (before + change).to(kind), mask=n < tall)


def with_factors(x: Tensor, a: Tensor, b: Tensor, names: Tensor, output: Tensor) -> Tensor:
    """Return `output` [R, 1, out] of a layer and what each row's own factors make of its input x [R, 1, in].

    A [N, in, r] and B [N, r, out] hold all factors, `names` [R] says which are a row's.
    """
    rows, wide, rank, tall = names.shape[0], a.shape[1], a.shape[2], b.shape[2]
    out = torch.empty_like(output, memory_format=torch.contiguous_format)
    launch: Any = _with_factors[(rows,)]
    launch(
        x.contiguous(), a, b, names, output.contiguous(), out,
        wide=wide, tall=tall, rank=rank, ranks=triton.next_power_of_2(rank), inner=256, outer=256,
    )  # fmt: skip
    return out


@triton.jit
def _attended(  # type: ignore[no-untyped-def]
    query, keys, values, mask, firsts, place, out, scale, room,
    heads: tl.constexpr, groups: tl.constexpr, padded: tl.constexpr, size: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    end = tl.load(place) + 1
    first = tl.load(firsts + row) // block * block
    g, d = tl.arange(0, padded), tl.arange(0, size)
    own = ((row * heads + head) * groups + g[:, None]) * size + d[None, :]
    asked = tl.load(query + own, mask=(g < groups)[:, None], other=0.0)
    most = tl.full([padded], float("-inf"), dtype=tl.float32)
    total = tl.zeros([padded], dtype=tl.float32)
    gained = tl.zeros([padded, size], dtype=tl.float32)
    held = (row * heads + head) * room
    for start in range(first, end, block):
        t = start + tl.arange(0, block)
        seen = tl.load(mask + row * room + t, mask=t < end, other=float("-inf")).to(tl.float32)
        key = tl.load(keys + (held + t)[:, None] * size + d[None, :], mask=(t < end)[:, None], other=0.0)
        scores = tl.dot(asked, tl.trans(key)) * scale + seen[None, :]
        higher = tl.maximum(most, tl.max(scores, axis=1))
        safe = tl.where(higher == float("-inf"), 0.0, higher)
        shares = tl.exp(scores - safe[:, None])
        faded = tl.exp(most - safe)
        value = tl.load(values + (held + t)[:, None] * size + d[None, :], mask=(t < end)[:, None], other=0.0)
        gained = gained * faded[:, None] + tl.dot(shares.to(value.dtype), value)
        total = total * faded + tl.sum(shares, axis=1)
        most = higher
    tl.store(out + own, (gained / total[:, None]).to(out.dtype.element_ty), mask=(g < groups)[:, None])


def attended(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, firsts: Tensor, place: Tensor, scale: float
) -> Tensor:
    """Return what queries [R, K, G, D], one token a row, gain from keys and values [R, K, T, D].

    `mask` [R, T] is added to the scores; nothing is seen before `firsts` [R], nor after `place` [1].
    """
    rows, heads, groups, size = query.shape
    query, out = query.contiguous(), torch.empty_like(query, memory_format=torch.contiguous_format)
    launch: Any = _attended[(rows, heads)]
    launch(
        query, keys, values, mask, firsts, place, out, scale, keys.shape[2],
        heads=heads, groups=groups, padded=max(16, triton.next_power_of_2(groups)), size=size,
        block=min(64, _ROOM_OF_A_BLOCK // size),
    )  # fmt: skip
    return out
