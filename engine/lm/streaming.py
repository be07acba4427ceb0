"""Replies token by token: several variants answer one message in one batch, and every step can be seen.

Owns the stepping and which rows still go; reading, masks and cache are decode.py's, prompts and adapters
asking.py's, mixtures mixture.py's, so that what is streamed is what is scored. Between two steps nothing is
changed in the model, so that several streams may take turns on one base.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from engine.core.errors import EngineError
from engine.lm.bank import Change, Rows
from engine.lm.decode import Batch, begin
from engine.lm.ends import ends_of
from engine.lm.load import Base
from engine.lm.mixture import Lockstep, Request
from engine.lm.plan import Plan, plan_for

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_THREADS = torch.get_num_threads()
_SMALL_PARAMETERS = 100_000_000


def spread(base: Base) -> None:
    """Give a base the threads that suit a few rows; for all of this process.

    A small model is quickest on one, and then is not slowed down by runs that use the other cores.
    """
    torch.set_num_threads(1 if base.model.num_parameters() < _SMALL_PARAMETERS else _THREADS)


class Stream:
    """The replies of some voices to one message, one token each a step. A voice is a variant's request."""

    def __init__(
        self, base: Base, voices: Sequence[Request], *, max_new_tokens: int, plan: Plan | None = None
    ) -> None:
        if not voices:
            raise EngineError("Nobody is there to answer.", "Choose a variant.")
        self._base, self._most, self._left = base, max_new_tokens, max_new_tokens
        self._lockstep = Lockstep(voices, base.model.device)
        self._flat = self._lockstep.rows
        self._owners = [number for number, voice in enumerate(voices) for _ in voice]
        self._ends = ends_of(base.model, base.tokenizer)
        self._tokens: list[list[int]] = [[] for _ in voices]
        self._ended = [False] * len(voices)
        self._going = list(range(len(self._flat)))
        self._steps = (plan or plan_for(base.model)).steps(base.model)
        self._rows = self._adapters([row.change for row in self._flat])
        self._batch: Batch | None = None

    def tokens(self, voice: int) -> int:
        """Return how many tokens a voice has said."""
        return len(self._tokens[voice])

    def text(self, voice: int) -> str:
        """Return what a voice has said so far, without a last character that is not whole yet."""
        said = self._ends.said(self._base.tokenizer, self._tokens[voice])
        return said if self._ended[voice] else self._ends.without_a_beginning(said.rstrip(_UNFINISHED))

    def ended(self, voice: int) -> bool:
        """Say whether a voice has finished."""
        return self._ended[voice]

    def over(self) -> bool:
        """Whether all voices have finished."""
        return all(self._ended)

    @torch.inference_mode()
    def step(self) -> None:
        """Let every voice say one token more; the first step reads the prompts."""
        if self.over():
            return
        with self._rows.on() if self._rows else nullcontext():
            logits = self._read() if self._batch is None else self._go_on(self._batch)
        owners = [self._owners[row] for row in self._going]
        chosen = self._lockstep.choose(logits, self._going).tolist()
        for voice, token in dict(zip(owners, chosen, strict=True)).items():
            self._ended[voice] = token in self._ends.ids
            if not self._ended[voice]:
                self._tokens[voice].append(token)
                self._ended[voice] = self._ends.over(self._base.tokenizer, self._tokens[voice])
        self._left -= 1
        if not self._left:
            self._ended = [True] * len(self._ended)

    def _read(self) -> Tensor:
        prompts = [row.ids for row in self._flat]
        prefixes = [row.change.prefix if row.change else None for row in self._flat]
        self._batch = begin(
            self._base.model,
            prompts,
            prefixes,
            max_new_tokens=self._most,
            share_prefix=False,
            on_rows=self._choose,
            steps=self._steps,
            key=self._rows.key if self._rows else (),
        )
        return self._batch.logits

    def _go_on(self, batch: Batch) -> Tensor:
        """Feed each voice its last token; rows of those that have ended leave the batch."""
        owners = self._owners
        left = [place for place, row in enumerate(self._going) if not self._ended[owners[row]]]
        if len(left) < len(self._going):
            self._going = [self._going[place] for place in left]
            batch.keep(left, self._going)
        last = [self._tokens[owners[row]][-1] for row in self._going]
        batch.feed(torch.tensor(last, device=self._base.model.device))
        return batch.logits

    def _adapters(self, changes: Sequence[Change | None]) -> Rows | None:
        distinct = list(dict.fromkeys(changes))
        if not any(change and change.acts_in_layers for change in distinct):
            return None
        held = self._steps.held if self._steps is not None else None
        return Rows(self._base.model, distinct, [distinct.index(change) for change in changes], held=held)

    def _choose(self, rows: Sequence[int]) -> None:
        if self._rows:
            self._rows.choose(rows)
