"""One operation in the place of several that transformers writes out: normalisation, while answers are made.

Whether a model's own normalisation is the usual one is not looked up by name but measured, once a model, on
random numbers. Results agree to rounding. Nothing here takes gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm
from transformers import PreTrainedModel

_MEASURED = "_lean_norms"
_PROBED_ROWS = 4
_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
_ROUGH_TOLERANCE = 2e-2


@contextmanager
def lean(model: PreTrainedModel) -> Iterator[None]:
    """Within, let the model's normalisations be one operation each; nobody else may use it meanwhile."""
    norms = _norms(model)
    for module, short in norms:
        module.forward = short
    try:
        yield
    finally:
        for module, _ in norms:
            del module.forward


def _norms(model: PreTrainedModel) -> list[tuple[Any, Callable[[Tensor], Tensor]]]:
    """Return each normalisation that is the usual one, and what does the same at once: found out once."""
    known = model.__dict__.get(_MEASURED)
    if known is None:
        found = [(module, _short(module)) for module in model.modules() if _may_be_usual(module)]
        agreeing = {type(module): _agree(module, short) for module, short in found}
        known = [(module, short) for module, short in found if agreeing[type(module)]]
        model.__dict__[_MEASURED] = known
    return list(known)


def _may_be_usual(module: nn.Module) -> bool:
    named = type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon")
    return named and isinstance(getattr(module, "weight", None), nn.Parameter)


def _short(module: Any) -> Callable[[Tensor], Tensor]:
    shape, epsilon = tuple(module.weight.shape), float(module.variance_epsilon)
    return partial(_normalised, module, shape, epsilon)


def _normalised(module: Any, shape: tuple[int, ...], epsilon: float, hidden_states: Tensor) -> Tensor:
    return rms_norm(hidden_states, shape, module.weight, epsilon)


@torch.no_grad()
def _agree(module: Any, short: Callable[[Tensor], Tensor]) -> bool:
    weight = module.weight
    random = torch.Generator().manual_seed(0)
    probed = torch.randn(_PROBED_ROWS, weight.shape[-1], generator=random).to(weight.device, weight.dtype)
    tolerance = _TOLERANCE.get(weight.dtype, _ROUGH_TOLERANCE)
    own, ours = module(probed).float(), short(probed).float()
    return bool(torch.allclose(own, ours, rtol=tolerance, atol=tolerance))
