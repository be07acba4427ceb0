"""Learned merges: how much of each adapter to take, fitted to the loss of dialogues (after LoraHub).

Only the weights are learned, as a softmax, so they sum to 1 and start even; the adapters stay as they are.
One weight an adapter, or one an adapter and linear layer (CAT, Prabhakar et al. 2024). By gradient, through
the same trainer as adapters; LoraHub (Huang et al. 2024) searches without one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
    """A merge of N fixed adapters as something to train: one logit an adapter, or one in each layer."""

    dropout = 0.0
    effect = Weights
    packs = True

    def __init__(self, stacks: Mapping[str, Stack], *, by_layer: bool = False) -> None:
        self._stacks, self._by_layer = stacks, by_layer
        self._count = next(iter(stacks.values())).a.shape[0]
        self._beside: dict[str, tuple[Tensor, Tensor]] = {}

    def start(self, *, seed: int) -> dict[str, Tensor]:
        """Return even weights, whatever the seed."""
        names = {path: self._name(path) for path in self._stacks}
        return {name: torch.zeros(self._count) for name in dict.fromkeys(names.values())}

    def shares(self, tensors: Mapping[str, Tensor], path: str) -> Tensor:
        """Return the weights [..., N] of a module's adapters, which sum to 1."""
        return torch.softmax(tensors[self._name(path)], dim=-1)

    def _name(self, path: str) -> str:
        return f"{_MIX}|{path}" if self._by_layer else _MIX

    @contextmanager
    def applied(
        self, model: PreTrainedModel, stacked: Mapping[str, Tensor], rows: Tensor, drop: Drop | None
    ) -> Iterator[dict[str, Any]]:
        """Add sum w_n B_n A_n x to every layer, each row of the batch with its own weights."""
        with ExitStack() as hooks:
            for path in self._stacks:
                hook = beside(self._on(model, path), self.shares(stacked, path).index_select(0, rows))
                hooks.enter_context(model.get_submodule(path).register_forward_hook(hook))
            yield {}

    def _on(self, model: PreTrainedModel, path: str) -> tuple[Tensor, Tensor]:
        """Return a module's factors side by side where the model is, taken there once."""
        if path not in self._beside:
            stack = self._stacks[path]
            self._beside[path] = (
                stack.a.flatten(0, 1).to(model.device, model.dtype),
                stack.b.transpose(0, 1).flatten(1).to(model.device, model.dtype),
            )
        return self._beside[path]

    def save(self, tensors: Mapping[str, Tensor], folder: Path, *, base: str) -> None:
        """Write the exact merge in PEFT's format, of the rank of all its adapters together."""
        factors = {
            path: concatenated(stack, self.shares(tensors, path)) for path, stack in self._stacks.items()
        }
        shape = LoraShape.whole(max(a.shape[0] for a, _ in factors.values()), factors)
        save_lora(Lora(factors, shape.scale), shape, folder, base=base)


def beside(factors: tuple[Tensor, Tensor], shares: Tensor) -> Callable[..., Tensor]:
    """Return a forward hook that adds sum_n s_n B_n A_n x; each row of the batch has its own shares [B, N].

    `factors` are all A's stacked, [N r, in], and all B's side by side, [out, N r].
    """
    a, b = factors
    columns = shares.repeat_interleave(len(a) // shares.shape[1], dim=1).to(a.dtype).unsqueeze(1)
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
    by_layer: bool = False,
) -> dict[str, Tensor]:
    """Return for each module the weights [N] of its adapters that fit the replies of `dialogues` best.

    They are the same for all modules unless they are learned `by_layer`. `settings.l2` pulls them to even
    ones. Raises Stopped when `hooks.stop` says so.
    """
    form = MixForm(stacks, by_layer=by_layer)
    trainer = Trainer(model, form, settings, [Lesson(name, dialogues)], pad_id=pad_id, hooks=hooks)
    (trained,) = trainer.fit()
    return {path: form.shares(trained.weights, path) for path in stacks}
