"""Training many adapters over one frozen base: the rounds, the schedules, the best epochs, the checkpoint.

Every adapter has its own data order, optimiser state, schedule, clipping, early stop and random stream, so
one that is trained among two hundred ends as one trained alone. Loss is on reply tokens only, and one pass
over a dialogue trains all its replies. A run that was stopped and resumed ends with the same weights as
one left alone. The base's own dropout stays off.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.core.errors import EngineError
from engine.lm.adamw import StackedAdamW
from engine.lm.attention import prefer_causal_blocks
from engine.lm.batches import epoch_batches, micro_batches, reply_tokens, schedule
from engine.lm.checkpoint import Damaged, Parts, read_into, read_position, write_checkpoint
from engine.lm.encode import IGNORED, Encoded, training_batch
from engine.lm.forms import Form, Pull, seed_of, toward_zero
from engine.lm.fused import KERNEL_DEVICES, fuse
from engine.lm.lanes import Lanes
from engine.lm.last_layer import plain_attention
from engine.lm.memory import bytes_of_a_step, sent
from engine.lm.packed_attention import prefer_packed
from engine.lm.packing import Drill
from engine.lm.passes import Passes
from engine.lm.reply_loss import token_losses

_QUICKLY_WRITTEN_BYTES = 1 << 30
_TOKENS_A_GROUP = {"cpu": 16384, "cuda": 262144}
_COPIES_A_STEP = 8
"""What an optimiser step takes beside the weights: copies of its adapters, in fp32."""
_ROUNDS_UNREAD = {"cuda": 8}
"""A GPU is asked for its losses only so often: each time it would stand still."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How adapters are trained. Rates and shares are fractions; `batch_size` counts dialogues.

    `patience` ends an adapter's training after so many epochs without a better validation loss. `l2` adds
    l2 * |w|^2 to the loss of each adapter, or l2 times another penalty where the trainer is given its pull.
    """

    learning_rate: float = 5e-4
    epochs: int = 3
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    batch_size: int = 4
    max_grad_norm: float = 1.0
    seed: int = 0
    patience: int | None = None
    l2: float = 0.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """One adapter to be trained: its name, which also seeds it, and its dialogues.

    `start` holds the weights it begins with, in the form's names; None draws them.
    """

    name: str
    train: Sequence[Encoded]
    val: Sequence[Encoded] = ()
    start: Mapping[str, Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """One adapter after its training. `weights` are the best epoch's; losses are nats a reply token."""

    name: str
    weights: dict[str, Tensor]
    steps: int
    best_epoch: int
    best_loss: float
    val_losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the loop tells and asks its caller.

    `loss` gets (split, step, epoch, nats a reply token, learning rate), the means over the adapters that took
    the step; the rate of training alone.
    """

    progress: Callable[[int, int], None] = lambda done, total: None
    loss: Callable[[str, int, int, float, float | None], None] = lambda split, step, epoch, nats, rate: None
    stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True, slots=True)
class _Told:
    """The losses of one step of some adapters, still on the device: their numbers, steps and learning rates,
    and nats [G]."""

    numbers: list[int]
    steps: list[int]
    rates: list[float]
    nats: Tensor


@dataclass
class _Place:
    """Where one adapter stands."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best_epoch: int = -1
    best_loss: float | None = None
    val_losses: list[float] = field(default_factory=list)
    ended: bool = False


@dataclass(frozen=True)
class _Position:
    """Where a wave of lessons stands, and the file that holds its tensors."""

    file: str
    rounds: int
    seconds: float
    lessons: list[str]
    places: list[_Place]


class Stopped(Exception):
    """The caller asked to stop; the checkpoint is written."""


class Trainer:
    """Trains the adapters of `lessons` together over a frozen model."""

    def __init__(
        self,
        model: PreTrainedModel,
        form: Form,
        settings: TrainSettings,
        lessons: Sequence[Lesson],
        *,
        pad_id: int,
        checkpoint: Path | None = None,
        checkpoint_seconds: float = 60.0,
        hooks: Hooks = Hooks(),
        pull: Pull = toward_zero,
        packed: bool | None = None,
    ) -> None:
        """`packed` lays an adapter's dialogues one after another: by default on a GPU, which is faster so."""
        self.model, self.form, self.settings, self._pull = model, form, settings, pull
        self.lessons, self.pad_id, self.hooks = list(lessons), pad_id, hooks
        self._checkpoint, self._checkpoint_seconds = checkpoint, checkpoint_seconds
        starts = [
            dict(lesson.start) if lesson.start is not None else form.start(seed=self._seed(lesson, "start"))
            for lesson in self.lessons
        ]
        drawn = {
            name: torch.stack([start[name].float() for start in starts]).to(model.device)
            for name in starts[0]
        }
        self._optimizer = StackedAdamW(drawn, weight_decay=settings.weight_decay)
        packs = bool(getattr(form, "packs", False)) and plain_attention(model)
        self._packed = packs and (model.device.type in KERNEL_DEVICES if packed is None else packed)
        self._places = [_Place() for _ in self.lessons]
        self._orders: dict[int, tuple[int, list[list[int]]]] = {}
        self._rounds, self._bytes_a_step = 0, 0
        self._unread: list[tuple[int, int, list[_Told]]] = []
        self.seconds = 0.0

    @property
    def parameters_each(self) -> int:
        """How many numbers one adapter has."""
        return sum(tensor[0].numel() for tensor in self._optimizer.weights.values())

    @property
    def _checkpoint_bytes(self) -> int:
        return 4 * sum(tensor.numel() * tensor.element_size() for tensor in self._optimizer.weights.values())

    def fit(self) -> list[Trained]:
        """Train to the end and return every adapter at its best epoch (without validation, its last).

        Continues from the checkpoint when there is one, from the start when that is damaged. Raises Stopped
        after writing one when the caller asks to stop, EngineError when a loss is not a number any more or
        one dialogue alone does not fit into memory.
        """
        self.model.eval()
        self._restore()
        self._bytes_a_step = bytes_of_a_step(self.model.device)
        with Lanes(self.model, prepare=prefer_packed if self._packed else _prefer_short) as lanes:
            say = self.hooks.say
            self._train(Passes(lanes, self.form, pad_id=self.pad_id, say=say, packed=self._packed))
        best = self._optimizer.kept_apart()
        return [self._trained(number, weights) for number, weights in enumerate(best)]

    def _train(self, passes: Passes) -> None:
        began, saved = time.monotonic() - self.seconds, time.monotonic()
        total = sum(self._steps_in_all(number) for number in range(len(self.lessons)))
        while going := [number for number, place in enumerate(self._places) if not place.ended]:
            epoch = self._places[0].epoch
            self._round(passes, going)
            self._end_epochs(passes, going)
            epoch_ended = self._places[0].epoch > epoch and self._checkpoint_bytes < _QUICKLY_WRITTEN_BYTES
            self.seconds = time.monotonic() - began
            done = sum(
                self._steps_in_all(n) if place.ended else place.step for n, place in enumerate(self._places)
            )
            self._read(at_least=_ROUNDS_UNREAD.get(self.model.device.type, 1))
            self.hooks.progress(done, total)
            if self.hooks.stop():
                self._save()
                raise Stopped
            if epoch_ended or time.monotonic() - saved > self._checkpoint_seconds:
                self._save()
                saved = time.monotonic()
        self._save()

    def _round(self, passes: Passes, going: Sequence[int]) -> None:
        """Let every adapter take one step, those with batches of like size together."""
        self._rounds += 1
        pending = [(number, self._next_rows(number)) for number in going]
        pending.sort(key=lambda entry: (max(map(len, entry[1])), entry[0]))
        told: list[_Told] = []
        most = _TOKENS_A_GROUP.get(self.model.device.type, _TOKENS_A_GROUP["cpu"])
        most_adapters = max(1, self._bytes_a_step // (_COPIES_A_STEP * 4 * self.parameters_each))
        while pending:
            count, tokens = 0, 0
            while count < len(pending):
                tokens += sum(map(len, pending[count][1]))
                if count and (tokens > most or count == most_adapters):
                    break
                count += 1
            told.append(self._step(passes, pending[:count]))
            pending = pending[count:]
        self._unread.append((self._rounds, self._places[going[0]].epoch, told))

    def _read(self, *, at_least: int = 1) -> None:
        """Tell the losses of the last rounds, once there are so many. Raises EngineError if one is none."""
        if len(self._unread) < at_least:
            return
        unread, self._unread = self._unread, []
        for number, epoch, told in unread:
            losses: list[float] = []
            for one in told:
                for adapter, step, nats in zip(one.numbers, one.steps, one.nats.tolist(), strict=True):
                    self._refuse_divergence(nats, adapter, step)
                    losses.append(nats)
            rates = [rate for one in told for rate in one.rates]
            self.hooks.loss("train", number, epoch, sum(losses) / len(losses), sum(rates) / len(rates))

    def _step(self, passes: Passes, group: Sequence[tuple[int, list[Encoded]]]) -> _Told:
        """Take one optimiser step of each adapter in the group; return their losses."""
        settings = self.settings
        numbers = [number for number, _ in group]
        places = [self._places[number] for number in numbers]
        which = self._sent(numbers)
        stacked = self._optimizer.slices(which)
        shares = [1.0 / max(1, sum(reply_tokens(row) for row in rows)) for _, rows in group]
        sums, grads = passes.gradients(stacked, self._rows(group), shares)
        if settings.l2:
            pulls = self._pull(stacked)
            grads = {name: grad + settings.l2 * pulls[name] for name, grad in grads.items()}
        rates = [
            settings.learning_rate * schedule(place.step, self._steps_in_all(number), settings.warmup_share)
            for number, place in zip(numbers, places, strict=True)
        ]
        steps = [place.step + 1 for place in places]
        told = _Told(numbers, steps, rates, sums * self._sent(shares))
        self._optimizer.step(
            which,
            grads,
            rates=self._sent(rates),
            steps=self._sent(told.steps),
            most=settings.max_grad_norm,
        )
        for place in places:
            place.step, place.batch = place.step + 1, place.batch + 1
        return told

    def _sent(self, values: Sequence[int] | Sequence[float]) -> Tensor:
        return sent(values, self.model.device)

    def _rows(self, group: Sequence[tuple[int, list[Encoded]]]) -> list[Drill]:
        return [
            Drill(slot, row, self._seed(self.lessons[number], "drop", self._places[number].step, place))
            for slot, (number, rows) in enumerate(group)
            for place, row in enumerate(rows)
        ]

    def _end_epochs(self, passes: Passes, going: Sequence[int]) -> None:
        """Judge the adapters that have come to the end of an epoch, and end those that are done."""
        ended = [n for n in going if self._places[n].batch >= self._steps_an_epoch(n)]
        if ended:
            self._read()
        judged = [number for number in ended if self.lessons[number].val]
        losses = dict(zip(judged, self._validate(passes, judged), strict=True)) if judged else {}
        if losses:
            epoch = self._places[judged[0]].epoch
            self.hooks.loss("val", self._rounds, epoch, sum(losses.values()) / len(losses), None)
        better: list[int] = []
        for number in ended:
            place = self._places[number]
            loss = losses.get(number, -float(place.epoch))
            if number in losses:
                self._refuse_divergence(loss, number, place.step + 1)
                place.val_losses.append(loss)
            if place.best_loss is None or loss < place.best_loss:
                place.best_loss, place.best_epoch = loss, place.epoch
                better.append(number)
            place.epoch, place.batch = place.epoch + 1, 0
            patience = self.settings.patience
            tired = patience is not None and place.epoch - 1 - place.best_epoch >= patience
            place.ended = place.epoch >= self.settings.epochs or tired
        if better:
            self._optimizer.keep(self._sent(better))

    def _validate(self, passes: Passes, numbers: Sequence[int]) -> list[float]:
        """Return each adapter's mean loss over all its validation reply tokens."""
        stacked = self._optimizer.slices(self._sent(numbers))
        rows = [Drill(slot, row) for slot, number in enumerate(numbers) for row in self.lessons[number].val]
        return passes.losses(stacked, rows)

    def _next_rows(self, number: int) -> list[Encoded]:
        place, lesson = self._places[number], self.lessons[number]
        epoch, order = self._orders.get(number, (-1, []))
        if epoch != place.epoch:
            order = list(
                epoch_batches(
                    [len(row) for row in lesson.train],
                    self.settings.batch_size,
                    seed=self._seed(lesson, "order", place.epoch),
                )
            )
            self._orders[number] = (place.epoch, order)
        return [lesson.train[row] for row in order[place.batch]]

    def _steps_an_epoch(self, number: int) -> int:
        return math.ceil(len(self.lessons[number].train) / self.settings.batch_size)

    def _steps_in_all(self, number: int) -> int:
        return self._steps_an_epoch(number) * self.settings.epochs

    def _seed(self, lesson: Lesson, *words: object) -> int:
        return seed_of(self.settings.seed, lesson.name, *words)

    def _refuse_divergence(self, nats: float, number: int, step: int) -> None:
        if not math.isfinite(nats):
            raise EngineError(
                f"Training of {self.lessons[number].name} diverged: the loss at step {step} is {nats}.",
                "Set a lower learning_rate or max_grad_norm.",
            )

    def _trained(self, number: int, weights: dict[str, Tensor]) -> Trained:
        place = self._places[number]
        return Trained(
            name=self.lessons[number].name,
            weights=weights,
            steps=place.step,
            best_epoch=place.best_epoch,
            best_loss=math.inf if place.best_loss is None else place.best_loss,
            val_losses=tuple(place.val_losses),
        )

    @property
    def _parts(self) -> Parts:
        moments = {"first": self._optimizer.first, "second": self._optimizer.second}
        return {"now": self._optimizer.weights, "best": self._optimizer.kept, **moments}

    def _save(self) -> None:
        self._read()
        if self._checkpoint is None:
            return
        position = {
            "rounds": self._rounds,
            "seconds": self.seconds,
            "lessons": [lesson.name for lesson in self.lessons],
            "places": [asdict(place) for place in self._places],
        }
        write_checkpoint(self._checkpoint, self._rounds, self._parts, position)

    def _restore(self) -> None:
        """Go on from the checkpoint, if there is one of these lessons; from the start where it is damaged."""
        if self._checkpoint is None:
            return
        try:
            position = read_position(self._checkpoint, _Position)
            if position is None or position.lessons != [lesson.name for lesson in self.lessons]:
                return  # none, or another wave's
            read_into(self._checkpoint, position.file, self._parts)
        except Damaged as error:
            self.hooks.say(f"The checkpoint is damaged, training starts over: {error}")
            return
        self._places, self._rounds, self.seconds = position.places, position.rounds, position.seconds


def _prefer_short(model: PreTrainedModel) -> None:
    prefer_causal_blocks(model)
    fuse(model)


@torch.no_grad()
def evaluate_loss(model: PreTrainedModel, rows: Sequence[Encoded], *, pad_id: int) -> float:
    """Return the model's mean loss over all reply tokens of `rows`, in nats."""
    decoder: Any = model.get_decoder()
    total, count = 0.0, 0
    for part in micro_batches([len(row) for row in rows], 4096):
        batch = training_batch([rows[index] for index in part], pad_id=pad_id)
        ids, targets = batch.ids.to(model.device), batch.targets.to(model.device)
        wanted = targets != IGNORED
        hidden = decoder(input_ids=ids, use_cache=False).last_hidden_state
        total += float(token_losses(model, hidden[wanted], targets[wanted]).sum())
        count += int(wanted.sum())
    return total / max(count, 1)
