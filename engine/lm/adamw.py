"""AdamW for many adapters at once: each slice has its own step count, rate and clipping.

The update of one slice is that of torch.optim.AdamW (Loshchilov and Hutter 2019) on that adapter alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8


class StackedAdamW:
    """Moments for stacked weights: name -> [N, ...]. Changes the weights in place, slice by slice."""

    def __init__(self, weights: dict[str, Tensor], *, weight_decay: float) -> None:
        self._weights, self._decay = weights, weight_decay
        self.first = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
        self.second = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}

    def step(self, which: Tensor, grads: Mapping[str, Tensor], *, rates: Tensor, steps: Tensor) -> None:
        """Update the slices `which` [G] by `grads` [G, ...]; `rates`, `steps` (from 1) are each slice's."""
        for name, grad in grads.items():
            over = (-1, *(1 for _ in grad.shape[1:]))
            rate, step = rates.view(over), steps.view(over).to(grad.dtype)
            first = torch.lerp(self.first[name][which], grad, 1 - _FIRST)
            second = self.second[name][which] * _SECOND + (1 - _SECOND) * grad * grad
            weight = self._weights[name][which] * (1 - rate * self._decay)
            root = second.sqrt() / (1 - _SECOND**step).sqrt() + _EPSILON
            self._weights[name][which] = weight - rate / (1 - _FIRST**step) * first / root
            self.first[name][which], self.second[name][which] = first, second


def clip(grads: Mapping[str, Tensor], most: float) -> dict[str, Tensor]:
    """Return `grads` [G, ...] with each slice's norm over all names at most `most`."""
    squares = torch.stack([grad.flatten(1).square().sum(dim=1) for grad in grads.values()]).sum(dim=0)
    factor = (most / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    return {name: grad * factor.view(-1, *(1 for _ in grad.shape[1:])) for name, grad in grads.items()}
