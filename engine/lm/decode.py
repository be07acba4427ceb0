"""Greedy decoding of one batch, token by token: what is chosen, the rows that are finished.

Knows token ids only. Rows that have ended leave the batch, so that the slowest reply does not hold the
others' memory and time. Prompts are read by reading.py; on a GPU a step is one of static_steps.py's.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from engine.lm.reading import forward, read_prompts
from engine.lm.static_steps import StaticBatch, StaticSteps

_LEAVE_SHARE = 0.25
_LOOK_STEPS = 8
"""Steps between two looks at which rows have ended, where a look makes a GPU wait."""

OnRows = Callable[[Sequence[int]], None]


class Batch(Protocol):
    """Rows under way: the logits [B, V] after what they have read."""

    logits: Tensor

    def worth_leaving(self, left: int, going: int) -> bool:
        """Say whether it is quicker to go on with `left` of the `going` rows."""

    def keep(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Go on with these places of the batch alone, which are `rows` by number."""

    def feed(self, tokens: Tensor) -> None:
        """Read one token more of each row [B]."""


class _Growing:
    """Rows whose cache and mask grow by one position a step."""

    def __init__(
        self, model: PreTrainedModel, read: tuple[Tensor, DynamicCache, Tensor], on_rows: OnRows
    ) -> None:
        self._model, self._on_rows = model, on_rows
        self.logits, self._cache, self._seen = read

    def worth_leaving(self, left: int, going: int) -> bool:
        return left <= (1 - _LEAVE_SHARE) * going

    def keep(self, places: Sequence[int], rows: Sequence[int]) -> None:
        kept = torch.tensor(list(places), device=self._seen.device)
        self._seen = self._seen[kept]
        self._cache.batch_select_indices(kept)
        self._on_rows(rows)

    def feed(self, tokens: Tensor) -> None:
        self._seen = torch.cat([self._seen, self._seen.new_ones(len(self._seen), 1)], dim=1)
        self.logits = forward(self._model, tokens.unsqueeze(1), self._seen, self._cache)


def begin(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    prefixes: Sequence[Tensor | None],
    *,
    max_new_tokens: int,
    share_prefix: bool,
    on_rows: OnRows,
    steps: StaticSteps | None = None,
    key: Hashable = (),
) -> Batch:
    """Read the prompts; return their rows, to go on in `steps` where they are given."""
    if steps is not None:
        return StaticBatch(
            steps,
            model,
            prompts,
            prefixes,
            max_new_tokens,
            share_prefix=share_prefix,
            on_rows=on_rows,
            key=key,
        )
    read = read_prompts(model, prompts, prefixes, max_new_tokens, share_prefix, on_rows)
    on_rows(range(len(prompts)))
    return _Growing(model, read, on_rows)


def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    end_ids: frozenset[int],
    share_prefix: bool,
    over: Callable[[Sequence[int]], bool] = lambda tokens: False,
    prefixes: Sequence[Tensor | None] = (),
    on_rows: OnRows = lambda rows: None,
    choose: Callable[[Tensor, Sequence[int]], Tensor] = lambda logits, rows: logits.argmax(dim=-1),
    steps: StaticSteps | None = None,
    key: Hashable = (),
) -> list[list[int]]:
    """Return the greedy continuation of each prompt (token ids), without the token that ended it.

    `share_prefix` says that all rows go through the same weights and prefix. `prefixes` holds each row's
    trained keys and values, where it has any. `on_rows` is told which rows, by number, the next forward
    passes hold. `choose` turns logits [B, V] and the rows' numbers into tokens [B], by default the likeliest.
    `over` says of what a row has said whether that ends it, beside `end_ids`. `steps` are captured steps to
    go in, `key` what tells apart the changes that they hold.
    """
    batch = begin(
        model, prompts, prefixes, max_new_tokens=max_new_tokens, share_prefix=share_prefix,
        on_rows=on_rows, steps=steps, key=key,
    )  # fmt: skip
    replies: list[list[int]] = [[] for _ in prompts]
    going = list(range(len(prompts)))
    ended = [False] * len(prompts)
    unseen: list[Tensor] = []
    every = 1 if steps is None else _LOOK_STEPS
    for step in range(max_new_tokens):
        last = step == max_new_tokens - 1
        tokens = choose(batch.logits, going)
        unseen.append(tokens)
        if len(unseen) == every or last:
            for chosen in torch.stack(unseen).tolist():
                for row, token in zip(going, chosen, strict=True):
                    if not ended[row]:
                        if token in end_ids:
                            ended[row] = True
                        else:
                            replies[row].append(token)
                            ended[row] = over(replies[row])
            unseen = []
            left = [place for place, row in enumerate(going) if not ended[row]]
            if not left or last:
                break
            if len(left) < len(going) and batch.worth_leaving(len(left), len(going)):
                tokens, going = tokens[torch.tensor(left, device=model.device)], [going[one] for one in left]
                batch.keep(left, going)
        batch.feed(tokens)
    return replies
