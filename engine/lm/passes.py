"""Forward and backward passes of many adapters over one frozen base, micro-batch by micro-batch.

Owns how the rows of a step are cut up, computed side by side and added up, always in the same order, and what
happens when memory is short. Loss is on reply tokens only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.core.errors import EngineError
from engine.lm.batches import micro_batches
from engine.lm.dropout import Dropout
from engine.lm.encode import IGNORED, Encoded, training_batch
from engine.lm.forms import Form
from engine.lm.lanes import Lanes
from engine.lm.last_layer import only_at
from engine.lm.memory import is_out_of_memory
from engine.lm.reply_loss import token_losses

_TOKENS_AT_ONCE = {"cpu": 1024, "cuda": 16384}
_PARTS_FOR_LANES = 4  # of one adapter's batch; not the number of lanes, so that sums are the same everywhere


@dataclass(frozen=True, slots=True)
class Drill:
    """One dialogue of a step: the slot [0, G) of its adapter, and the seed of its dropout."""

    slot: int
    dialogue: Encoded
    stream: int = 0


@dataclass(frozen=True, slots=True)
class _Share:
    """What one micro-batch gave: the sums of its losses and the counts of its tokens [G], and gradients."""

    sums: Tensor
    counts: Tensor
    grads: tuple[Tensor, ...]


class Passes:
    """Computes losses and gradients of stacked adapters [G, ...] of one form."""

    def __init__(self, lanes: Lanes, form: Form, *, pad_id: int, say: Callable[[str], None]) -> None:
        self._lanes, self._form, self._pad_id, self._say = lanes, form, pad_id, say
        self._tokens = _TOKENS_AT_ONCE.get(lanes.device.type, 2048)
        self._at_least = _PARTS_FOR_LANES if lanes.suits else 1

    def gradients(
        self, stacked: Mapping[str, Tensor], rows: Sequence[Drill], shares: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of each slot's losses [G], in nats, and the gradients of shares [G] times it.

        Halves what is computed at once when memory is short. Raises EngineError when one dialogue alone
        does not fit.
        """
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in stacked.items()}
        while True:
            try:
                parts = self._parts(leaves, rows, shares)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                longest = max(len(row.dialogue) for row in rows)
                if self._tokens <= longest:
                    raise EngineError(
                        f"There is not enough memory to train on one dialogue of {longest} tokens.",
                        "Choose a smaller base or a lower rank, or free memory.",
                    ) from error
            self._tokens //= 2
            self._say(f"Out of memory: going on with {self._tokens} tokens at once.")
        totals = [
            torch.stack(grads).sum(dim=0) for grads in zip(*(part.grads for part in parts), strict=True)
        ]
        sums = torch.stack([part.sums for part in parts]).sum(dim=0)
        return sums, dict(zip(leaves, totals, strict=True))

    def losses(self, stacked: Mapping[str, Tensor], rows: Sequence[Drill]) -> Tensor:
        """Return each slot's mean loss over all its reply tokens [G], in nats, without dropout."""
        parts = self._parts(stacked, rows, None)
        sums = torch.stack([part.sums for part in parts]).sum(dim=0)
        counts = torch.stack([part.counts for part in parts]).sum(dim=0)
        return sums / counts.clamp(min=1)

    def _parts(
        self, stacked: Mapping[str, Tensor], rows: Sequence[Drill], shares: Tensor | None
    ) -> list[_Share]:
        tokens = self._tokens * (1 if shares is not None else 2)
        cut = micro_batches([len(row.dialogue) for row in rows], tokens, at_least=self._at_least)

        def computed(model: PreTrainedModel, part: list[int]) -> _Share:
            return self._part(model, stacked, [rows[index] for index in part], shares)

        with closing(self._lanes.map(computed, cut)) as parts:
            return list(parts)

    def _part(
        self,
        model: PreTrainedModel,
        stacked: Mapping[str, Tensor],
        rows: Sequence[Drill],
        shares: Tensor | None,
    ) -> _Share:
        batch = training_batch([row.dialogue for row in rows], pad_id=self._pad_id)
        ids, targets = batch.ids.to(model.device), batch.targets.to(model.device)
        slots = torch.tensor([row.slot for row in rows], device=model.device)
        wanted = targets != IGNORED
        owners = slots.unsqueeze(1).expand_as(targets)[wanted]
        drop = None
        if shares is not None and self._form.dropout:
            streams = torch.tensor([[row.stream] for row in rows], device=model.device)
            places = torch.arange(ids.shape[1], device=model.device).unsqueeze(0)
            drop = Dropout(self._form.dropout, streams, places)
        with torch.set_grad_enabled(shares is not None):
            applied = self._form.applied(model, stacked, slots, drop)
            with applied as more, only_at(model, wanted):
                decoder: Any = model.get_decoder()
                hidden = decoder(input_ids=ids, use_cache=False, **more).last_hidden_state
            losses = token_losses(model, hidden[wanted], targets[wanted])
            grads: tuple[Tensor, ...] = ()
            if shares is not None:
                loss = (losses * shares.to(losses.device)[owners]).sum()
                grads = torch.autograd.grad(loss, list(stacked.values()), materialize_grads=True)
        count = next(iter(stacked.values())).shape[0]
        empty, where = torch.zeros(count), owners.cpu()
        sums = empty.index_add(0, where, losses.detach().float().cpu())
        return _Share(sums, empty.index_add(0, where, torch.ones(len(where))), grads)
