"""Forward and backward passes of many adapters over one frozen base, micro-batch by micro-batch.

Owns how the rows of a step are cut up, computed side by side and added up, always in the same order, and what
happens when memory is short. Loss is on reply tokens only. On a GPU nothing here waits for the device.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.core.errors import EngineError
from engine.lm.batches import micro_batches
from engine.lm.captured import Captured
from engine.lm.dropout import Dropout
from engine.lm.forms import Form
from engine.lm.lanes import Lanes
from engine.lm.last_layer import only_at
from engine.lm.memory import is_out_of_memory, release, sent, tokens_that_fit
from engine.lm.packed_attention import begins_of
from engine.lm.packing import Batch, Drill, batch_of, bins_of, length_of
from engine.lm.reply_loss import token_losses

Result = TypeVar("Result")
_TOKENS_AT_ONCE = {"cpu": 1024}
_PARTS_FOR_LANES = 4  # of one adapter's batch; not the number of lanes, so that sums are the same everywhere
_TIMES_WITHOUT_GRADIENTS = 2
"""So many times the tokens of a training pass are computed at once where nothing is kept for a way back."""


@dataclass(frozen=True, slots=True)
class _Share:
    """What one micro-batch gave: its adapters' slots [g], the sums of their losses [g], and gradients."""

    slots: list[int]
    sums: Tensor
    grads: tuple[Tensor, ...]


class Passes:
    """Computes losses and gradients of stacked adapters [G, ...] of one form."""

    def __init__(
        self, lanes: Lanes, form: Form, *, pad_id: int, say: Callable[[str], None], packed: bool = False
    ) -> None:
        """`packed` says that the lanes' models attend within dialogues (engine/lm/packed_attention.py)."""
        self._lanes, self._form, self._pad_id, self._say = lanes, form, pad_id, say
        self._packed = packed
        self._tokens = _TOKENS_AT_ONCE.get(lanes.device.type) or tokens_that_fit(lanes.like, fused=packed)
        self._at_least = _PARTS_FOR_LANES if lanes.suits else 1
        self._captured = Captured(say) if packed and lanes.device.type == "cuda" else None

    def gradients(
        self, stacked: Mapping[str, Tensor], rows: Sequence[Drill], shares: Sequence[float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of each slot's losses [G], in nats, and the gradients of shares [G] times it.

        Both lie on the device. Raises EngineError when one dialogue alone does not fit.
        """
        scale = _scale(self._lanes.like.dtype, shares)
        scaled = [scale * share for share in shares]
        sums, grads = self._with_room(lambda: self._added(stacked, rows, scaled), rows, 1)
        return sums, {name: grad / scale for name, grad in grads.items()} if scale != 1 else grads

    def losses(self, stacked: Mapping[str, Tensor], rows: Sequence[Drill]) -> list[float]:
        """Return each slot's mean loss over all its reply tokens [G], in nats, without dropout."""
        count = next(iter(stacked.values())).shape[0]
        labels = [0] * count
        for row in rows:
            labels[row.slot] += sum(row.dialogue.is_reply[1:])

        def added() -> list[float]:
            totals = torch.zeros(count, device=self._lanes.device)
            with closing(self._shares(stacked, rows, [1.0] * count, training=False)) as found:
                for share in found:
                    totals.index_add_(0, sent(share.slots, totals.device), share.sums)
            return totals.tolist()

        totals = self._with_room(added, rows, _TIMES_WITHOUT_GRADIENTS)
        return [total / max(1, labels[slot]) for slot, total in enumerate(totals)]

    def _with_room(self, work: Callable[[], Result], rows: Sequence[Drill], times: int) -> Result:
        """Return what `work` gives, which computes `times` self._tokens at once; halves them when memory is
        short."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                longest = max(len(row.dialogue) for row in rows)
                if times * self._tokens <= longest:
                    raise EngineError(
                        f"There is not enough memory to train on one dialogue of {longest} tokens.",
                        "Choose a smaller base or a lower rank, or free memory.",
                    ) from error
            self._tokens //= 2
            if self._captured is not None:
                self._captured.stop("memory is short")
            release(self._lanes.device)
            self._say(f"Out of memory: going on with {self._tokens} tokens at once.")

    def _added(
        self, stacked: Mapping[str, Tensor], rows: Sequence[Drill], shares: Sequence[float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        sums = torch.zeros(len(shares), device=self._lanes.device)
        totals: dict[str, Tensor] = {}
        everyone = list(range(len(shares)))
        with closing(self._shares(stacked, rows, shares, training=True)) as found:
            for share in found:
                where = sent(share.slots, sums.device)
                sums.index_add_(0, where, share.sums)
                if not totals and share.slots == everyone:
                    totals = dict(zip(stacked, share.grads, strict=True))
                    continue
                for (name, whole), grad in zip(stacked.items(), share.grads, strict=True):
                    if name not in totals:
                        totals[name] = torch.zeros_like(whole)
                    totals[name].index_add_(0, where, grad)
        return sums, totals

    def _shares(
        self, stacked: Mapping[str, Tensor], rows: Sequence[Drill], shares: Sequence[float], *, training: bool
    ) -> Any:
        tokens = self._tokens * (1 if training else _TIMES_WITHOUT_GRADIENTS)
        bins = bins_of(rows, tokens) if self._packed else [[row] for row in rows]
        cut = micro_batches([length_of(chosen) for chosen in bins], tokens, at_least=self._at_least)

        def computed(model: PreTrainedModel, part: list[int]) -> _Share:
            return self._part(model, stacked, [bins[index] for index in part], shares, training)

        return self._lanes.map(computed, cut)

    def _part(
        self,
        model: PreTrainedModel,
        stacked: Mapping[str, Tensor],
        bins: Sequence[Sequence[Drill]],
        shares: Sequence[float],
        training: bool,
    ) -> _Share:
        """Compute one micro-batch; its adapters are numbered among themselves."""
        slots = sorted({chosen[0].slot for chosen in bins})
        at = {slot: number for number, slot in enumerate(slots)}
        bins = [[Drill(at[row.slot], row.dialogue, row.stream) for row in chosen] for chosen in bins]
        weights = [shares[slot] for slot in slots]
        mine = dict(stacked)
        if len(slots) < len(shares):
            where = sent(slots, model.device)
            mine = {name: tensor[where] for name, tensor in stacked.items()}
        if training and self._captured is not None:
            done = self._captured.step(
                self._computed, model, mine, bins, weights, pad_id=self._pad_id, device=self._lanes.device
            )
            if done is not None:
                return _Share(slots, *done)
        batch = batch_of(bins, weights, pad_id=self._pad_id, packed=self._packed).to(self._lanes.device)
        return _Share(slots, *self._computed(model, mine, batch, training))

    def _computed(
        self, model: PreTrainedModel, stacked: Mapping[str, Tensor], batch: Batch, training: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the sums of losses [G] and the gradients, in the order of `stacked`."""
        layout, where = batch.layout, batch.where
        rows = batch.whose if getattr(self._form, "shared", False) else batch.slots
        leaves = {name: tensor.detach().requires_grad_(training) for name, tensor in stacked.items()}
        drop = None
        if training and self._form.dropout:
            drop = Dropout(self._form.dropout, batch.streams, batch.places)
        more: dict[str, Any] = {}
        if layout.packed:
            more = {"position_ids": batch.places, **begins_of(batch.begins, layout.longest)}
        with torch.set_grad_enabled(training):
            with (
                self._form.applied(model, leaves, rows, drop) as given,
                only_at(model, where, (layout.rows, layout.width)),
            ):
                decoder: Any = model.get_decoder()
                hidden = decoder(input_ids=batch.ids, use_cache=False, **more, **given).last_hidden_state
            losses = token_losses(model, hidden.flatten(0, 1).index_select(0, where), batch.wanted).float()
            weights = batch.weights
            grads: tuple[Tensor, ...] = ()
            if training:
                loss = (losses * weights).sum()
                grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        said = losses.detach() * (weights > 0)
        sums = torch.zeros(layout.adapters, device=said.device).index_add_(0, batch.owners, said)
        return sums, grads


def _scale(dtype: torch.dtype, shares: Sequence[float]) -> float:
    """Return what losses are multiplied by for the way back: gradients of a mean over thousands of tokens
    would vanish in fp16."""
    return 2.0 ** -math.frexp(max(shares))[1] if dtype == torch.float16 else 1.0
