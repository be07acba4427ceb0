"""AdamW for many adapters at once: each slice has its own step count, rate and clipping.

The update of one slice is that of torch.optim.AdamW (Loshchilov and Hutter 2019) on that adapter alone.
Weights and moments of an adapter lie in one row, so that an update is a few passes over them.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8


class StackedAdamW:
    """Stacked weights, name -> [N, ...], and their moments; changes them in place, slice by slice."""

    def __init__(self, weights: Mapping[str, Tensor], *, weight_decay: float) -> None:
        self._shapes = {name: tensor.shape[1:] for name, tensor in weights.items()}
        self._decay = weight_decay
        self._flat = torch.cat([tensor.flatten(1) for tensor in weights.values()], dim=1)
        self._kept = self._flat.clone()
        self._moments = [torch.zeros_like(self._flat) for _ in range(2)]
        self.weights, self.kept = self._named(self._flat), self._named(self._kept)
        self.first, self.second = (self._named(moment) for moment in self._moments)

    def slices(self, which: Tensor) -> dict[str, Tensor]:
        """Return the weights of the slices `which` [G], name -> [G, ...]."""
        return self._named(self._flat[which])

    def keep(self, which: Tensor) -> None:
        """Keep the slices `which` [G] as they are now, in `kept`."""
        self._kept[which] = self._flat[which]

    def kept_apart(self) -> list[dict[str, Tensor]]:
        """Return what is kept of each slice, on the CPU; a GPU is asked once for all."""
        here = self._named(self._kept.cpu())
        return [
            {name: tensor[row].clone() for name, tensor in here.items()} for row in range(len(self._kept))
        ]

    def step(
        self, which: Tensor, grads: Mapping[str, Tensor], *, rates: Tensor, steps: Tensor, most: float
    ) -> None:
        """Update the slices `which` [G] by `grads` [G, ...], each clipped to the norm `most` over all names.

        `rates`, `steps` (from 1) are each slice's.
        """
        grad = torch.cat([grads[name].flatten(1) for name in self._shapes], dim=1)
        norm = torch.linalg.vector_norm(grad, dim=1, keepdim=True)
        grad.mul_((most / (norm + 1e-6)).clamp_(max=1.0))
        rate, step = rates[:, None].to(grad.dtype), steps[:, None].to(grad.dtype)
        first, second = (moment[which] for moment in self._moments)
        first.lerp_(grad, 1 - _FIRST)
        second.mul_(_SECOND).addcmul_(grad, grad, value=1 - _SECOND)
        root = second.sqrt().div_((1 - _SECOND**step).sqrt_()).add_(_EPSILON)
        change = (first / root).mul_(rate / (1 - _FIRST**step))
        self._flat[which] = self._flat[which].mul_(1 - rate * self._decay).sub_(change)
        for moment, now in zip(self._moments, (first, second), strict=True):
            moment[which] = now

    def _named(self, flat: Tensor) -> dict[str, Tensor]:
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        return {
            name: part.unflatten(1, shape)
            for (name, shape), part in zip(self._shapes.items(), flat.split(sizes, dim=1), strict=True)
        }
