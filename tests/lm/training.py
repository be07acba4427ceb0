"""One run of the trainer over a fresh tiny model, for the tests of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from engine.lm.adapters import Lora
from engine.lm.encode import Encoded
from engine.lm.forms import LoraForm, Pull, toward_zero
from engine.lm.load import load_base
from engine.lm.shape import LoraShape
from engine.lm.train import Hooks, Lesson, Trained, Trainer, TrainSettings

SHAPE = LoraShape(rank=4, alpha=8, dropout=0.1, target_modules=["q_proj", "v_proj"])
SETTINGS = TrainSettings(learning_rate=5e-3, epochs=3, batch_size=2, seed=3)
TRAIN, VAL = slice(0, 7), slice(7, 12)  # 4 steps an epoch, the last batch of one dialogue
STEPS = 12
Weights = dict[str, torch.Tensor]


def assert_same_weights(ours: Sequence[Trained], theirs: Sequence[Trained]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for name, tensor in one.weights.items():
            torch.testing.assert_close(tensor, other.weights[name], atol=1e-4, rtol=0)


class Training:
    """One run of the trainer over a fresh model, and everything it said."""

    def __init__(
        self,
        tiny_base: Path,
        settings: TrainSettings,
        *,
        dropout: float = 0.1,
        checkpoint: Path | None = None,
    ) -> None:
        self.base = load_base(str(tiny_base))
        self.settings, self.checkpoint = settings, checkpoint
        self.kind = LoraForm(self.base.model, SHAPE.model_copy(update={"dropout": dropout}))
        self.losses: list[tuple[str, int, int, float]] = []
        self.said: list[str] = []

    def fit(
        self,
        rows: Sequence[Encoded],
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
        checkpoint_seconds: float = 1e9,
        val: Sequence[Encoded] | None = None,
    ) -> Trained:
        lesson = Lesson("unified", rows[TRAIN], rows[VAL] if val is None else val)
        return self.fit_all([lesson], stop=stop, progress=progress, checkpoint_seconds=checkpoint_seconds)[0]

    def fit_all(
        self,
        lessons: Sequence[Lesson],
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
        checkpoint_seconds: float = 1e9,
        pull: Pull = toward_zero,
    ) -> list[Trained]:
        trainer = Trainer(
            self.base.model,
            self.kind,
            self.settings,
            lessons,
            pad_id=self.base.tokenizer.pad_token_id,
            checkpoint=self.checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            hooks=Hooks(progress, lambda *loss: self.losses.append(loss[:4]), stop, self.said.append),
            pull=pull,
        )
        self.parameters_each = trainer.parameters_each
        trained = trainer.fit()
        self.weights: Weights = trained[0].weights
        return trained

    @property
    def lora(self) -> Lora:
        return self.kind.lora(self.weights)


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
