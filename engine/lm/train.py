"""Training one adapter on the frozen base: the loop, the schedule, the best epoch, the checkpoint.

The adapter is PEFT's own LoRA, so what is saved loads with `PeftModel.from_pretrained`. Loss is on reply
tokens only, one pass over a dialogue trains all its replies. A run that was stopped and resumed ends with
the same weights as one left alone: model, optimiser, position and random state are in the checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from engine.errors import EngineError
from engine.lm.encode import IGNORED, Encoded, TrainingBatch, training_batch
from engine.paths import read_json, write_atomically, write_json

_POOL_BATCHES = 16
_EVAL_ROWS = 16


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How an adapter is trained. Rates and shares are fractions; `batch_size` counts dialogues."""

    rank: int = 8
    alpha: float = 16
    dropout: float = 0.05
    target_modules: tuple[str, ...] = ("q_proj", "v_proj")
    learning_rate: float = 5e-4
    epochs: int = 3
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    batch_size: int = 4
    max_grad_norm: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the loop tells and asks its caller. `loss` gets (split, step, epoch, nats a reply token)."""

    progress: Callable[[int, int], None] = lambda done, total: None
    loss: Callable[[str, int, int, float], None] = lambda split, step, epoch, nats: None
    stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda line: None


@dataclass
class TrainState:
    """Where the loop stands. `best` holds the weights of the epoch with the lowest validation loss."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_epoch: int = -1
    best_loss: float = math.inf
    best: dict[str, torch.Tensor] = field(default_factory=dict)


class Stopped(Exception):
    """The caller asked to stop; the checkpoint is written."""


def new_adapter(model: PreTrainedModel, settings: TrainSettings, name: str) -> PeftModel:
    """Return the base with a fresh LoRA adapter called `name`, initialised from the settings' seed."""
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config, adapter_name=name)


class Trainer:
    """Trains one adapter of `model` on encoded dialogues."""

    def __init__(
        self,
        model: PeftModel,
        settings: TrainSettings,
        *,
        pad_id: int,
        checkpoint: Path | None = None,
        checkpoint_seconds: float = 60.0,
        hooks: Hooks = Hooks(),
    ) -> None:
        self.model, self.settings, self.pad_id, self.hooks = model, settings, pad_id, hooks
        self._adapter = str(model.active_adapter)
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._checkpoint, self._checkpoint_seconds = checkpoint, checkpoint_seconds
        self.state = TrainState()

    @property
    def parameters_trained(self) -> int:
        return sum(parameter.numel() for parameter in self._trained)

    def fit(self, train: Sequence[Encoded], val: Sequence[Encoded]) -> TrainState:
        """Train to the end and leave the best epoch's weights in the model.

        Continues from the checkpoint when there is one, from the start when that is damaged. Raises Stopped
        after writing one when the caller asks to stop, EngineError when the loss is not a number any more.
        Without validation dialogues the last epoch is kept.
        """
        settings, state = self.settings, self.state
        steps_an_epoch = math.ceil(len(train) / settings.batch_size)
        total = steps_an_epoch * settings.epochs
        torch.manual_seed(settings.seed + 1)
        self._restore()
        began, saved = time.monotonic() - state.seconds, time.monotonic()
        while state.epoch < settings.epochs:
            order = list(
                epoch_batches(
                    [len(row) for row in train], settings.batch_size, seed=settings.seed * 1009 + state.epoch
                )
            )
            for rows in order[state.batch :]:
                self._step([train[row] for row in rows], total)
                state.batch += 1
                state.seconds = time.monotonic() - began
                self.hooks.progress(state.step, total)
                if self.hooks.stop():
                    self._save()
                    raise Stopped
                if time.monotonic() - saved > self._checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
            self._end_epoch(val)
        self._write_weights(state.best)
        state.seconds = time.monotonic() - began
        return state

    def _step(self, rows: Sequence[Encoded], total: int) -> None:
        state, settings = self.state, self.settings
        self.model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * schedule(state.step, total, settings.warmup_share)
        loss = mean_reply_loss(self.model, training_batch(rows, pad_id=self.pad_id))
        nats = float(loss.detach())
        _refuse_divergence(nats, state.step + 1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, settings.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        state.step += 1
        self.hooks.loss("train", state.step, state.epoch, nats)

    def _end_epoch(self, val: Sequence[Encoded]) -> None:
        state = self.state
        loss = evaluate_loss(self.model, val, pad_id=self.pad_id) if val else -float(state.epoch)
        if val:
            self.hooks.loss("val", state.step, state.epoch, loss)
        _refuse_divergence(loss, state.step)
        if loss < state.best_loss:
            state.best_loss, state.best_epoch, state.best = loss, state.epoch, self._weights()
        state.epoch, state.batch = state.epoch + 1, 0
        self._save()

    def _weights(self) -> dict[str, torch.Tensor]:
        weights = get_peft_model_state_dict(self.model, adapter_name=self._adapter)
        return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}

    def _write_weights(self, weights: dict[str, torch.Tensor]) -> None:
        set_peft_model_state_dict(self.model, weights, adapter_name=self._adapter)

    def _save(self) -> None:
        """Write the checkpoint: one safetensors file, then the small JSON that makes it count."""
        if self._checkpoint is None:
            return
        tensors = {f"now.{name}": tensor for name, tensor in self._weights().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.state.best.items()}
        for index, parameter in enumerate(self._trained):
            for name, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{index}.{name}"] = value.detach().cpu().clone()
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random_cuda"] = torch.cuda.get_rng_state()
        state = self.state
        name = f"step-{state.step}-{state.epoch}.safetensors"
        write_atomically(self._checkpoint / name, save(tensors))
        write_json(
            self._checkpoint / "position.json",
            {
                "file": name,
                "step": state.step,
                "epoch": state.epoch,
                "batch": state.batch,
                "seconds": state.seconds,
                "best_epoch": state.best_epoch,
                "best_loss": state.best_loss if math.isfinite(state.best_loss) else None,
            },
        )
        for old in self._checkpoint.glob("step-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _restore(self) -> None:
        if self._checkpoint is None or not (self._checkpoint / "position.json").exists():
            return
        try:
            position = read_json(self._checkpoint / "position.json")
            tensors = load_file(self._checkpoint / position["file"])
        except (EngineError, OSError, SafetensorError) as error:
            self.hooks.say(f"The checkpoint is damaged, training starts over: {error}")
            return
        self._write_weights(_under("now.", tensors))
        for index, parameter in enumerate(self._trained):
            saved = _under(f"optimizer.{index}.", tensors)
            if saved:
                self._optimizer.state[parameter] = {
                    name: value if name == "step" else value.to(parameter.device)
                    for name, value in saved.items()
                }
        torch.set_rng_state(tensors["random"])
        if "random_cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random_cuda"])
        best_loss = position["best_loss"]
        self.state.__init__(  # type: ignore[misc]
            step=position["step"],
            epoch=position["epoch"],
            batch=position["batch"],
            seconds=position["seconds"],
            best_epoch=position["best_epoch"],
            best_loss=math.inf if best_loss is None else best_loss,
            best=_under("best.", tensors),
        )


def _refuse_divergence(nats: float, step: int) -> None:
    if not math.isfinite(nats):
        raise EngineError(
            f"Training diverged: the loss at step {step} is {nats}.",
            "Set a lower learning_rate or max_grad_norm.",
        )


def mean_reply_loss(model: PreTrainedModel | PeftModel, batch: TrainingBatch) -> torch.Tensor:
    """Return the mean cross-entropy over reply tokens in nats; the head runs only at label positions."""
    loss, count = _summed_loss(model, batch)
    return loss / max(count, 1)


def _summed_loss(model: PreTrainedModel | PeftModel, batch: TrainingBatch) -> tuple[torch.Tensor, int]:
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    ids, targets = batch.ids.to(inner.device), batch.targets.to(inner.device)
    hidden = inner.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    wanted = targets != IGNORED
    logits = inner.get_output_embeddings()(hidden[wanted]).float()
    return cross_entropy(logits, targets[wanted], reduction="sum"), int(wanted.sum())


@torch.no_grad()
def evaluate_loss(model: PreTrainedModel | PeftModel, rows: Sequence[Encoded], *, pad_id: int) -> float:
    """Return the mean loss over all reply tokens of `rows`, in nats, without dropout."""
    model.eval()
    ordered = sorted(rows, key=len)
    total, count = 0.0, 0
    for start in range(0, len(ordered), _EVAL_ROWS):
        loss, tokens = _summed_loss(model, training_batch(ordered[start : start + _EVAL_ROWS], pad_id=pad_id))
        total, count = total + float(loss), count + tokens
    return total / max(count, 1)


def schedule(step: int, total: int, warmup_share: float) -> float:
    """Return the factor on the learning rate: a linear rise over the warm-up, then a linear fall to 0."""
    warmup = math.ceil(total * warmup_share)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (total - step) / max(1, total - warmup))


def epoch_batches(lengths: Sequence[int], batch_size: int, *, seed: int) -> Iterator[list[int]]:
    """Yield one epoch's batches of indices: shuffled, and sorted by length within pools to pad little."""
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=random).tolist()
    groups = []
    for start in range(0, len(order), batch_size * _POOL_BATCHES):
        pool = sorted(
            order[start : start + batch_size * _POOL_BATCHES], key=lambda index: (lengths[index], index)
        )
        groups += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    for index in torch.randperm(len(groups), generator=random).tolist():
        yield groups[index]


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
