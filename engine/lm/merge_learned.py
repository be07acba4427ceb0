"""Learned merges: how much of each adapter to take, fitted to the loss of dialogues (after LoraHub).

Only the weights are learned, as a softmax, so they sum to 1 and start even; the adapters stay as they are.
By gradient, through the same trainer as adapters; LoraHub (Huang et al. 2024) searches without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel

from engine.lm.adapters import Lora, save_lora
from engine.lm.bank import by_row
from engine.lm.effects import Weights
from engine.lm.encode import Encoded
from engine.lm.forms import Drop
from engine.lm.merge import Stack, concatenated
from engine.lm.shape import LoraShape
from engine.lm.train import Hooks, Lesson, Trainer, TrainSettings

_MIX = "mix"


class MixForm:
    """A merge of N fixed adapters as something to train: one logit an adapter."""

    dropout = 0.0
    effect = Weights
    packs = True

    def __init__(self, stacks: Mapping[str, Stack]) -> None:
        self._stacks = stacks
        self._count = next(iter(stacks.values())).a.shape[0]

    def start(self, *, seed: int) -> dict[str, Tensor]:
        """Return even weights, whatever the seed."""
        return {_MIX: torch.zeros(self._count)}

    @contextmanager
    def applied(
        self, model: PreTrainedModel, stacked: Mapping[str, Tensor], rows: Tensor, drop: Drop | None
    ) -> Iterator[dict[str, Any]]:
        """Add sum w_n B_n A_n x to every layer, each row of the batch with its own weights."""
        shares = torch.softmax(stacked[_MIX], dim=-1)[rows]
        hooks = [
            model.get_submodule(path).register_forward_hook(_hook(model, stack, shares))
            for path, stack in self._stacks.items()
        ]
        try:
            yield {}
        finally:
            for hook in hooks:
                hook.remove()

    def save(self, tensors: Mapping[str, Tensor], folder: Path, *, base: str) -> None:
        """Write the exact merge in PEFT's format, of the rank of all its adapters together."""
        shares = torch.softmax(tensors[_MIX], dim=-1)
        factors = {path: concatenated(stack, shares) for path, stack in self._stacks.items()}
        shape = LoraShape.whole(max(a.shape[0] for a, _ in factors.values()), factors)
        save_lora(Lora(factors, shape.scale), shape, folder, base=base)


def _hook(model: PreTrainedModel, stack: Stack, shares: Tensor) -> Callable[..., Tensor]:
    a = stack.a.flatten(0, 1).to(model.device, model.dtype)
    b = stack.b.transpose(0, 1).flatten(1).to(model.device, model.dtype)
    columns = shares.repeat_interleave(stack.a.shape[1], dim=1).to(model.dtype).unsqueeze(1)
    return lambda _, inputs, output: (
        output + linear(linear(by_row(inputs[0], len(shares)), a) * columns, b).view(output.shape)
    )


def learn(
    model: PreTrainedModel,
    stacks: Mapping[str, Stack],
    dialogues: Sequence[Encoded],
    settings: TrainSettings,
    *,
    name: str,
    pad_id: int,
    hooks: Hooks,
) -> Tensor:
    """Return the weights [N] of a module stack's adapters that fit the replies of `dialogues` best.

    `settings.l2` pulls them to even weights. Raises Stopped when `hooks.stop` says so.
    """
    trainer = Trainer(model, MixForm(stacks), settings, [Lesson(name, dialogues)], pad_id=pad_id, hooks=hooks)
    (trained,) = trainer.fit()
    return torch.softmax(trained.weights[_MIX], dim=-1)
