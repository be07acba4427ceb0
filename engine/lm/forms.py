"""The forms of what is trained: how one starts, how it acts on a batch, how it is stored.

Owns the names of an adapter's tensors. A form works on stacked tensors [G, ...] of G adapters at once.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor
from transformers import PreTrainedModel

from engine.lm.adapters import Lora, fresh, save_lora, targets
from engine.lm.bank import trainable
from engine.lm.effects import Stored, Weights
from engine.lm.shape import LoraShape

Drop = Callable[[str, Tensor], Tensor]
Pull = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""The gradient of a penalty on stacked adapters [G, ...], by tensor name."""
_A, _B = "|A", "|B"


class Form(Protocol):
    """What the trainer asks of an effect that can be trained."""

    @property
    def dropout(self) -> float:
        """The share of inputs that are dropped while training."""

    @property
    def effect(self) -> Callable[[str, str], Stored]:
        """The record of such an adapter in a recipe, made from its run and its name."""

    def start(self, *, seed: int) -> dict[str, Tensor]:
        """Return one untrained adapter: name -> tensor in fp32."""

    def applied(
        self, model: PreTrainedModel, stacked: Mapping[str, Tensor], rows: Tensor, drop: Drop | None
    ) -> Any:
        """A context in which the adapters [G, ...] act on `model`, which is of the form's architecture.

        `rows` [B] names each row's adapter. Gives more arguments for the model's call. A form with
        `packs = True` acts on every position of a row alike, so that a row may hold several dialogues. Of one
        with `shared = True` there is one adapter, and `rows` are the dialogues' `whose`.
        """

    def save(self, tensors: Mapping[str, Tensor], folder: Path, *, base: str) -> None:
        """Write one adapter in PEFT's format."""


class LoraForm:
    """Low-rank adapters of one shape over a model."""

    effect = Weights
    packs = True

    def __init__(self, model: PreTrainedModel, shape: LoraShape) -> None:
        self.shape, self._architecture = shape, str(model.config.model_type)
        self._modules = targets(model, shape.target_modules)

    @property
    def dropout(self) -> float:
        return self.shape.dropout

    def start(self, *, seed: int) -> dict[str, Tensor]:
        return tensors_of(fresh(self._modules, self.shape, seed=seed))

    @contextmanager
    def applied(
        self, model: PreTrainedModel, stacked: Mapping[str, Tensor], rows: Tensor, drop: Drop | None
    ) -> Iterator[dict[str, Any]]:
        factors = {
            path: (stacked[path + _A], stacked[path + _B] * self.shape.scale) for path in self._modules
        }
        with trainable(model, factors, rows, drop):
            yield {}

    def lora(self, tensors: Mapping[str, Tensor]) -> Lora:
        """Return one adapter's tensors as a Lora."""
        return Lora(
            {path: (tensors[path + _A], tensors[path + _B]) for path in self._modules}, self.shape.scale
        )

    def toward(self, lora: Lora) -> Pull:
        """Return the pull of the penalty |change - change of `lora`|^2, summed over the shape's layers.

        A change is scale * B A, so adapters of another rank or of other layers can be approached too (L2-SP,
        Li et al. 2018, on what the adapter does instead of on its factors). No matrix of a layer's size
        is formed.
        """
        scale = self.shape.scale
        goal = {path: (a, b * lora.scale) for path, (a, b) in lora.factors.items() if path in self._modules}

        def pull(stacked: Mapping[str, Tensor]) -> dict[str, Tensor]:
            grads = {}
            for path in self._modules:
                a, b = stacked[path + _A].detach(), stacked[path + _B].detach()
                over_b, over_a = scale * b @ (a @ a.mT), scale * (b.mT @ b) @ a
                if path in goal:
                    far_a, far_b = goal[path] = goal[path][0].to(a.device), goal[path][1].to(a.device)
                    over_b = over_b - far_b @ (far_a @ a.mT)
                    over_a = over_a - (b.mT @ far_b) @ far_a
                grads[path + _A], grads[path + _B] = 2 * scale * over_a, 2 * scale * over_b
            return grads

        return pull

    def save(self, tensors: Mapping[str, Tensor], folder: Path, *, base: str) -> None:
        save_lora(self.lora(tensors), self.shape, folder, base=base, architecture=self._architecture)


def toward_zero(stacked: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the pull of the penalty |w|^2 on every weight."""
    return {name: 2 * tensor.detach() for name, tensor in stacked.items()}


def tensors_of(lora: Lora) -> dict[str, Tensor]:
    """Return a Lora's factors under the names the trainer uses."""
    return {
        name: tensor
        for path, (a, b) in lora.factors.items()
        for name, tensor in ((path + _A, a.clone()), (path + _B, b.clone()))
    }


def seed_of(*words: object) -> int:
    """Return a seed (63 bits) from words: the same words always give the same stream."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
