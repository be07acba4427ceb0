"""One operation in the place of several that transformers writes out, while answers are made.

Normalisation anywhere; with the kernels of kernel_lean.py on a GPU also the gate of a feed-forward block, the
turning of queries and keys by their positions, and what one token a row takes: its own factors, and its
attention. Whether a model's own way is the usual one is not looked up by name but measured, once a model, on
each of its modules and with its own widths, on random numbers. Results agree to rounding. Nothing here takes
gradients.
"""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from engine.core.errors import EngineError, first_line
from engine.lm.fused import Norm, fed_forward, is_norm, kernels_on, normalised, refusals, rms_norm_at_once
from engine.lm.last_layer import key_value_shape
from engine.lm.memory import is_out_of_memory
from engine.lm.tail import TOLERANCE

_TURN = "apply_rotary_pos_emb"
_PROBED_ROWS = 4
_ROUGH_TOLERANCE = 2e-2
_KERNEL_SIZES = frozenset({16, 32, 64, 128, 256})
"""The sizes of heads that the kernel of attention can have."""

Swap = tuple[Any, str, Callable[..., Any]]
"""Where something is, its name, and what does the same at once."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What can be done at once for a model where it is; None where it cannot."""

    swaps: tuple[Swap, ...] = ()
    with_factors: Callable[..., Tensor] | None = None
    attended: Callable[..., Tensor] | None = None


_FOUND: WeakKeyDictionary[PreTrainedModel, tuple[Any, Ways]] = WeakKeyDictionary()


@contextmanager
def lean(model: PreTrainedModel) -> Iterator[None]:
    """Within, let the model take the short ways; nobody else may use it, or one of its kind, meanwhile."""
    swaps = ways(model).swaps
    before = [vars(owner).get(name) for owner, name, _ in swaps]
    for owner, name, short in swaps:
        setattr(owner, name, short)
    try:
        yield
    finally:
        for (owner, name, _), own in zip(swaps, before, strict=True):
            if own is None:
                delattr(owner, name)
            else:
                setattr(owner, name, own)


@torch.no_grad()
def ways(model: PreTrainedModel) -> Ways:
    """Return what can be done at once for a model where it is; found out the first time."""
    where, found = _FOUND.get(model, (None, Ways()))
    if where != (model.device, model.dtype):
        found = Ways(tuple(_of_norms(model, rms_norm_at_once)))
        if kernels_on(model.device) is not None:
            found = _with_kernels(model, found)
        _FOUND[model] = (model.device, model.dtype), found
    return found


def _of_norms(model: PreTrainedModel, norm: Norm) -> list[Swap]:
    return [
        (module, "forward", short)
        for module in cast(Iterable[Any], model.modules())
        if is_norm(module) and _agrees(module, short := partial(normalised, module, norm), module.weight)
    ]


def _agrees(module: Any, short: Callable[[Tensor], Tensor], reads: Tensor) -> bool:
    """Say whether a short way gives what a module gives itself; `reads` is its weight [..., in]."""
    probe = _random(reads, _PROBED_ROWS, reads.shape[-1])
    return _close(module(probe), short(probe))


def _with_kernels(model: PreTrainedModel, plain: Ways) -> Ways:
    """Return the ways with kernels; the plain ones, with a warning, where a card has no room for one."""
    try:
        from engine.lm import kernel_lean

        swaps = [*(_of_norms(model, kernel_lean.normed) or plain.swaps), *_of_gates(model), *_of_turns(model)]
        return Ways(tuple(swaps), _factors(model), _attention(model))
    except refusals() as error:
        if is_out_of_memory(error):  # whoever asks takes less, and asks again
            raise
        said = f"This card answers without kernels: {first_line(error)}"
        warnings.warn(said, RuntimeWarning, stacklevel=2)
        return plain


def _of_gates(model: PreTrainedModel) -> list[Swap]:
    from engine.lm.kernel_lean import gated

    parts = ("gate_proj", "up_proj", "down_proj", "act_fn")
    return [
        (block, "forward", short)
        for block in cast(Iterable[Any], model.modules())
        if all(hasattr(block, part) for part in parts)
        and _agrees(block, short := partial(fed_forward, block, gated), block.gate_proj.weight)
    ]


def _of_turns(model: PreTrainedModel) -> list[Swap]:
    from engine.lm.kernel_lean import turned

    home = sys.modules[type(model.get_decoder()).__module__]
    own, shape = getattr(home, _TURN, None), _heads(model)
    if own is None or shape is None:
        return []

    device = model.device

    def short(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor, *more: Any, **named: Any) -> Any:
        whole = cos.dim() == 3 and cos.shape[-1] == query.shape[-1] == key.shape[-1]
        if more or named or not whole or query.device != device:
            return own(query, key, cos, sin, *more, **named)
        return turned(query, key, cos, sin)

    heads, groups, size = shape
    shapes = ((2, heads * groups, 3, size), (2, heads, 3, size), (2, 3, size), (2, 3, size))
    given = [_random(model, *shape) for shape in shapes]
    agree = all(_close(a, b) for a, b in zip(own(*given), turned(*given), strict=True))
    return [(home, _TURN, short)] if agree else []


def _factors(model: PreTrainedModel) -> Callable[..., Tensor] | None:
    """Return what adds one token's change by each row's own factors, where it does so rightly."""
    from engine.lm.kernel_lean import with_factors

    x, output, a, b = (
        _random(model, *shape) for shape in ((3, 1, 320), (3, 1, 160), (2, 320, 6), (2, 6, 160))
    )
    a, b = a / 20, b / 2
    names = torch.tensor([1, 0, 1], device=model.device)
    right = output + torch.bmm(torch.bmm(x, a[names]), b[names])
    return with_factors if _close(right, with_factors(x, a, b, names, output)) else None


def _attention(model: PreTrainedModel) -> Callable[..., Tensor] | None:
    """Return what one query a row gains from what its row has seen; None in fp32, which it would round, and
    for heads of a size that it cannot have."""
    from engine.lm.kernel_lean import attended

    shape = _heads(model)
    rough = model.dtype in (torch.bfloat16, torch.float16)
    if not rough or shape is None or shape[-1] not in _KERNEL_SIZES:
        return None
    heads, groups, size = shape
    kept = (3, heads, 192, size)
    query, keys, values = (_random(model, *shape) for shape in ((3, heads, groups, size), kept, kept))
    firsts, place = torch.tensor([0, 70, 129], device=model.device), torch.tensor([150], device=model.device)
    places = torch.arange(192, device=model.device)
    seen = (places >= firsts[:, None]) & (places <= place) & ~((places > 9) & (places < 40))
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=model.device).masked_fill_(~seen, float("-inf"))
    right = scaled_dot_product_attention(query, keys, values, attn_mask=mask[:, None, None], scale=0.125)
    return attended if _close(right, attended(query, keys, values, mask, firsts, place, 0.125)) else None


def _heads(model: PreTrainedModel) -> tuple[int, int, int] | None:
    """Return how many heads of keys there are, how many queries share each, and their size; None without."""
    try:
        _, heads, size = key_value_shape(model)
        return heads, int(model.config.num_attention_heads) // heads, size
    except (EngineError, AttributeError):
        return None


def _random(like: Any, *shape: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=random).to(like.device, like.dtype)


def _close(one: Tensor, other: Tensor) -> bool:
    tolerance = TOLERANCE.get(one.dtype, _ROUGH_TOLERANCE)
    size = float(one.abs().max())
    return bool(torch.allclose(one.float(), other.float(), rtol=tolerance, atol=tolerance * size))
