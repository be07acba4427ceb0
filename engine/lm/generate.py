"""Greedy generation for many prompts: which rows go together, which adapters apply to them, replies in order.

Owns which rows are in which batch; how many, and how they are computed, is the plan's. Samples nothing.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.lm.bank import Change, Kernel, Rows, Tables, bytes_of_changes, written
from engine.lm.decode import decode
from engine.lm.ends import Ends, ends_of
from engine.lm.kernels import DEFAULT, Kernels
from engine.lm.lanes import Lanes, lanes_for
from engine.lm.memory import is_out_of_memory
from engine.lm.plan import BATCH_ROWS, Batching, plan_for

_Mapping = Callable[
    [Callable[[PreTrainedModel, "Batch"], "list[Reply]"], Sequence["Batch"]],
    Generator["list[Reply]", None, None],
]
Decoding = Callable[..., list[list[int]]]
"""`decode`, told what is alike for all batches of a call."""
_SHARE_OF_CHANGES = 0.2
"""Changes of all batches are held side by side up to this share of what is free."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One generated reply. `seconds` is the row's share of its batch's time."""

    text: str
    prompt_tokens: int
    reply_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are computed together; of a "written" batch all rows have the same change."""

    rows: list[int]
    kernel: Kernel


def batches(lengths: Sequence[int], rows: int = BATCH_ROWS) -> Iterator[list[int]]:
    """Yield lists of at most `rows` indices, longest prompts first: little padding, memory peaks early."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    for start in range(0, len(order), rows):
        yield order[start : start + rows]


def plan_batches(
    lengths: Sequence[int],
    changes: Sequence[Change | None],
    *,
    rows: int = BATCH_ROWS,
    kernels: Kernels = DEFAULT,
) -> list[Batch]:
    """Return every row's batch: a change with many rows in batches of its own, the others mixed.

    Rows without a change have batches of their own: there is nothing to write for them.
    """
    groups: dict[Change | None, list[int]] = {}
    for index, change in enumerate(changes):
        groups.setdefault(change, []).append(index)
    own = [group for change, group in groups.items() if change is None or len(group) >= kernels.written_from]
    mixed = sorted(set(range(len(changes))).difference(*own))
    planned: list[tuple[list[int], Kernel]] = [(group, "written") for group in own]
    planned += [(mixed, kernels.mixed)] if mixed else []
    return [
        Batch([group[place] for place in places], kernel)
        for group, kernel in planned
        for places in batches([lengths[index] for index in group], rows)
    ]


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    changes: Sequence[Change | None] | None = None,
    max_new_tokens: int = 64,
    rows: int | None = None,
    plan: Batching | None = None,
    kernels: Kernels = DEFAULT,
    on_batch: Callable[[list[int], list[Reply]], None] | None = None,
    skip: frozenset[int] = frozenset(),
) -> list[Reply]:
    """Return a greedy reply for each prompt (token ids), in order; those in `skip` are left out.

    `changes` holds each row's own change to the model, None for the model as it is. `on_batch` is called
    after every batch with the rows' indices and replies: for progress, checkpoints and to stop by raising.
    A batch is left out only as a whole, so that skipping never changes the other texts. Runs out of memory
    no sooner than one row alone does: a batch that is too large for the device is halved. `plan` is by
    default the model's own where it is, `rows` the plan's.
    """
    plan = plan or plan_for(model)
    rows = rows or plan.rows
    own = list(changes) if changes is not None else [None] * len(prompts)
    replies: list[Reply | None] = [None] * len(prompts)
    ends = ends_of(model, tokenizer)
    decoding = decoding_until(ends, tokenizer, max_new_tokens)
    planned = plan_batches([len(p) for p in prompts], own, rows=rows, kernels=kernels)
    wanted = [batch for batch in planned if not skip.issuperset(batch.rows)]
    mixed = [own[row] for batch in wanted if batch.kernel != "written" for row in batch.rows]
    in_place: dict[int, _InPlace] = {}

    def answered(lane: PreTrainedModel, batch: Batch) -> list[Reply]:
        with torch.inference_mode():
            started = time.perf_counter()
            change = own[batch.rows[0]] if batch.kernel == "written" else None
            held = None
            # Captured steps know the model by its places: they hold nothing that is hooked in for one batch.
            if plan.static and (change is None or not change.hooks_in):
                held = in_place.setdefault(id(lane), _InPlace(lane, plan, mixed))
            with written(lane, change, in_place=held is not None and count == 1):
                changes = [own[row] for row in batch.rows]
                asked = [prompts[row] for row in batch.rows]
                tokens = _decode(decoding, lane, asked, changes, batch.kernel, held)
            share = (time.perf_counter() - started) / len(batch.rows)
        return [
            Reply(ends.said(tokenizer, new), len(prompts[row]), len(new), share)
            for row, new in zip(batch.rows, tokens, strict=True)
        ]

    count = min(lanes_for(model), max(1, len(wanted)))
    with _lanes(model, count, plan) as lanes, closing(lanes(answered, wanted)) as answers:
        for batch, done in zip(wanted, answers, strict=True):
            for row, reply in zip(batch.rows, done, strict=True):
                replies[row] = reply
            if on_batch is not None:
                on_batch(batch.rows, done)
    return [reply for reply in replies if reply is not None]


@contextmanager
def _lanes(model: PreTrainedModel, count: int, plan: Batching) -> Iterator[_Mapping]:
    """Give what computes batches: lanes, or on a GPU the model itself, for copying it takes a while."""
    if plan.static and count == 1:
        yield lambda work, batches: (work(model, batch) for batch in batches)
        return
    with Lanes(model, count) as lanes:
        yield lanes.map


class _InPlace:
    """What all batches of one call share on a lane: the static steps, and all changes of mixed batches."""

    def __init__(self, model: PreTrainedModel, plan: Batching, changes: Sequence[Change | None]) -> None:
        self.steps = plan.steps(model)
        self._model, self._most = model, plan.room(model)
        self._changes = list(dict.fromkeys(changes))
        self._tables: Tables | None = None
        self.too_many = 1 << 62

    def tables(self, changes: Sequence[Change | None]) -> Tables:
        """Return the batch's changes side by side, with those of all other batches where they fit."""
        if self._tables is None:
            most = self._most()
            if most is not None and bytes_of_changes(self._model, self._changes) > _SHARE_OF_CHANGES * most:
                return Tables(self._model, list(dict.fromkeys(changes)))
            self._tables = Tables(self._model, self._changes)
        return self._tables

    def release(self, rows: int) -> None:
        """Give up what is held: the card is full with so many rows, which are not tried again."""
        self._tables, self.too_many = None, max(2, min(rows, self.too_many))
        if self.steps is not None:
            self.steps.release()


def decoding_until(ends: Ends, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int) -> Decoding:
    """Return `decode` for replies that end so, or at their longest."""
    over = partial(ends.over, tokenizer)
    return partial(decode, max_new_tokens=max_new_tokens, end_ids=ends.ids, over=over)


def _decode(
    decoding: Decoding,
    model: PreTrainedModel,
    prompts: list[Sequence[int]],
    changes: list[Change | None],
    kernel: Kernel,
    held: _InPlace | None,
) -> list[list[int]]:
    """Decode one batch; on a device without room for it, its two halves."""
    if held is None or len(prompts) < held.too_many:
        try:
            return _decode_at_once(decoding, model, prompts, changes, kernel, held)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(prompts) == 1:
                raise
        if held is not None:
            held.release(len(prompts))
    half = len(prompts) // 2
    return [
        reply
        for part in (slice(None, half), slice(half, None))
        for reply in _decode(decoding, model, prompts[part], changes[part], kernel, held)
    ]


def _decode_at_once(
    decoding: Decoding,
    model: PreTrainedModel,
    prompts: list[Sequence[int]],
    changes: list[Change | None],
    kernel: Kernel,
    held: _InPlace | None,
) -> list[list[int]]:
    steps = held.steps if held is not None else None
    prefixes = [change.prefix if change else None for change in changes]
    said = partial(decoding, model, prompts, prefixes=prefixes, steps=steps)
    if kernel == "written":
        return said(share_prefix=True)
    rows = Rows(
        model,
        changes,
        tables=held.tables(changes) if held is not None and steps is not None else None,
        kernel=kernel,
        held=steps.held if steps is not None else None,
    )
    with rows.on():
        return said(share_prefix=False, on_rows=rows.choose, key=rows.key)
