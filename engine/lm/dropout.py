"""Dropout from a counter: which inputs fall is computed from where they stand, not drawn one after another.

Whether one entry falls depends on its row's seed, its place in the row, its feature and its module alone, so
neither neighbours nor padding nor packing nor the device change it: integers only, with the same bits on a
CPU and on a GPU. Owns the mixing of those numbers (after Wellons' 32-bit mixer of low bias).
"""

import functools
import hashlib
from typing import Any

import torch
from torch import Tensor

from engine.lm.fused import kernels_on

_LEVELS = 1 << 15
"""A share is held to one in so many: two features share the 32 bits of one word, and use 15 each."""


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


_GOLDEN, _SILVER = _signed(0x9E3779B9), _signed(0x85EBCA6B)
_FIRST, _SECOND = _signed(0x21F0AAAD), _signed(0xD35A2D97)


class Dropout:
    """Drops inputs of a batch whose tokens have seeds `streams` [B, T] (int64) and places `places` [B, T].

    Either may be [B, 1] or [1, T].
    """

    def __init__(self, share: float, streams: Tensor, places: Tensor) -> None:
        self._limit = min(_LEVELS - 1, round(share * _LEVELS))
        words = streams.contiguous().view(torch.int32).unflatten(-1, (-1, 2))
        steps = places.to(torch.int32)
        self._low = _mixed(words[..., 0] + steps * _GOLDEN).unsqueeze(-1)
        self._high = _mixed(words[..., 1] ^ (steps * _SILVER)).unsqueeze(-1)

    def __call__(self, path: str, x: Tensor) -> Tensor:
        """Return x [B, T, in] with a share of its entries zero and the others scaled up."""
        rows, width = x.shape[0], x.shape[1]
        low, high = (one.expand(rows, width, 1).contiguous() for one in (self._low, self._high))
        return _Dropped.apply(x, low, high, _salts(path), self._limit)


class _Dropped(torch.autograd.Function):
    """x times its mask. A CPU keeps the mask for the way back; a GPU makes it again, which is cheap there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor, salts: tuple[int, int], limit: int) -> Tensor:
        ctx.salts, ctx.limit, ctx.again = salts, limit, kernels_on(x.device) is not None
        if ctx.again:
            ctx.save_for_backward(low, high)
            return _in_one_pass(x, low, high, salts, limit)
        mask = kept(low ^ salts[0], high + salts[1], x.shape[-1], limit, x.dtype)
        ctx.save_for_backward(mask)
        return (x * mask).mul_(_scale(limit))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        grad = grads[0]
        if ctx.again:
            low, high = ctx.saved_tensors
            grad = _in_one_pass(grad, low, high, ctx.salts, ctx.limit)
        else:
            grad = (grad * ctx.saved_tensors[0]).mul_(_scale(ctx.limit))
        return grad, None, None, None, None


def kept(low: Tensor, high: Tensor, features: int, limit: int, dtype: torch.dtype) -> Tensor:
    """Return 1 where entries stay and 0 where they fall [..., features], of tokens with two words [..., 1].

    In place and without a comparison, which a CPU does not vectorise.
    """
    word = low ^ _words(-(-features // 2), low.device)
    spare = word >> 16
    word.bitwise_xor_(spare.bitwise_and_(0xFFFF)).mul_(_FIRST)
    torch.bitwise_right_shift(word, 15, out=spare)
    word.bitwise_xor_(spare.bitwise_and_(0x1FFFF)).bitwise_xor_(high).mul_(_SECOND)
    torch.bitwise_right_shift(word, 15, out=spare)
    word.bitwise_xor_(spare.bitwise_and_(0x1FFFF)).bitwise_and_(0x7FFF7FFF)
    halves = word.view(torch.int16)[..., :features].sub_(limit - 1)
    return halves.to(dtype).clamp_(0, 1)


def _in_one_pass(x: Tensor, low: Tensor, high: Tensor, salts: tuple[int, int], limit: int) -> Tensor:
    kernels: Any = kernels_on(x.device)
    words, factors = _words(-(-x.shape[-1] // 2), x.device), (_FIRST, _SECOND)
    return kernels.dropped(
        x, low, high, words, salts=salts, limit=limit, scale=_scale(limit), factors=factors
    )


@functools.lru_cache(maxsize=64)
def _words(count: int, device: torch.device) -> Tensor:
    return _mixed(torch.arange(1, count + 1, dtype=torch.int32, device=device) * _GOLDEN)


@functools.lru_cache(maxsize=4096)
def _salts(path: str) -> tuple[int, int]:
    digest = hashlib.sha256(path.encode()).digest()
    return int.from_bytes(digest[:4], "big", signed=True), int.from_bytes(digest[4:8], "big", signed=True)


def _scale(limit: int) -> float:
    return 1.0 / (1.0 - limit / _LEVELS)


def _mixed(word: Tensor) -> Tensor:
    """Return int32 words, each bit of which depends on every bit that went in."""
    word = (word ^ ((word >> 16) & 0xFFFF)) * _FIRST
    word = (word ^ ((word >> 15) & 0x1FFFF)) * _SECOND
    return word ^ ((word >> 15) & 0x1FFFF)
