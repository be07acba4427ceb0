"""One kernel in the place of several that transformers writes out, while a GPU trains.

Normalisation and the gated feed-forward block. Whether a model's own are the usual ones is not looked up by
name but measured, on each of its modules, with random numbers; results agree to rounding.
"""

import functools
import subprocess
import warnings
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm
from transformers import PreTrainedModel

from engine.core.errors import first_line
from engine.lm.memory import is_out_of_memory

_PROBED_ROWS = 8
_TOLERANCE, _ROUGH_TOLERANCE = 1e-4, 3e-2
KERNEL_DEVICES = {"cuda"}
"""Kinds of devices that kernels work on; with Triton's interpreter a processor is one, too."""
Norm = Callable[[Tensor, Tensor, float], Tensor]


def kernels_on(device: torch.device) -> ModuleType | None:
    """Return the kernels for tensors of a device; None where there are none."""
    return _kernels(device) if device.type in KERNEL_DEVICES else None


@functools.cache
def _kernels(device: torch.device) -> ModuleType | None:
    """Return the kernels of engine/lm/gpu_kernels.py; None, with a warning, where none can be compiled."""
    try:
        from engine.lm import gpu_kernels

        gpu_kernels.Gated.apply(*torch.ones(2, 1, device=device))
    except refusals() as error:
        if is_out_of_memory(error):  # whoever asks takes less, and asks again
            raise
        said = f"Kernels are not compiled on this machine: {first_line(error)}"
        warnings.warn(said, RuntimeWarning, stacklevel=2)
        return None
    return gpu_kernels


def refusals() -> tuple[type[Exception], ...]:
    """Return what is raised without Triton or a C compiler, and where a card has no room for a kernel."""
    usual = (ImportError, OSError, RuntimeError, subprocess.SubprocessError)
    try:
        from triton.errors import TritonError
    except ImportError:
        return usual
    return (*usual, TritonError)


def fuse(model: PreTrainedModel) -> None:
    """Give a model on a GPU the short forms of its modules for good: it is a lane's own copy."""
    if model.device.type not in KERNEL_DEVICES:
        return
    kernels = kernels_on(model.device)
    for module in model.get_decoder().modules():
        short = _short(module, kernels)
        if short is not None and _agree(module, short):
            module.forward = short


def _short(module: Any, kernels: ModuleType | None) -> Callable[[Tensor], Tensor] | None:
    """Return what may do the same as a module's forward pass, at once."""
    if is_norm(module):
        return partial(normalised, module, rms_norm_at_once)
    gated = has_parts(module, "gate_proj", "up_proj", "down_proj")
    return partial(fed_forward, module, kernels.Gated.apply) if gated and kernels is not None else None


def has_parts(module: nn.Module, *names: str) -> bool:
    """Say whether a module has parts of these names."""
    return all(isinstance(getattr(module, name, None), nn.Module) for name in names)


def is_norm(module: Any) -> bool:
    """Say whether a module is called what the usual normalisation is called, and has its parts."""
    named = type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon")
    return named and isinstance(getattr(module, "weight", None), nn.Parameter)


def rms_norm_at_once(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return x [..., d] over the root of the mean of its squares, times `weight` [d]: torch's own."""
    return rms_norm(x, tuple(weight.shape), weight, epsilon)


def normalised(module: Any, norm: Norm, hidden_states: Tensor) -> Tensor:
    """Return what a normalisation's forward pass gives, by `norm`."""
    return norm(hidden_states, module.weight, module.variance_epsilon)


def fed_forward(module: Any, gated: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Tensor:
    """Return what a gated feed-forward block's forward pass gives, its gate by `gated`."""
    return module.down_proj(gated(module.gate_proj(x), module.up_proj(x)))


@torch.no_grad()
def _agree(module: Any, short: Callable[[Tensor], Tensor]) -> bool:
    weight = next(module.parameters())
    random = torch.Generator().manual_seed(0)
    probed = torch.randn(1, _PROBED_ROWS, weight.shape[-1], generator=random).to(weight.device, weight.dtype)
    return agree(module(probed), short(probed))


def agree(own: Tensor, ours: Tensor) -> bool:
    """Say whether two results are the same up to the rounding of their numbers."""
    tolerance = _TOLERANCE if own.dtype == torch.float32 else _ROUGH_TOLERANCE
    return bool((own - ours).float().abs().max() <= tolerance * own.float().abs().max())
