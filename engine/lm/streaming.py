"""Replies token by token: voices that come and go answer in one batch, and every step can be seen.

A voice is a variant's request. Owns the stepping, who is in the batch and when one joins or leaves it;
reading, masks and cache are decode.py's, prompts and adapters asking.py's, mixtures mixture.py's, so that
what is streamed is what is scored. Between two steps nothing is changed in the model, so that several
streams may take turns on one base; a stream that has it alone leaves changes where they act.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache

from engine.lm.bank import Change, Rows, written
from engine.lm.ends import ends_of
from engine.lm.load import Base
from engine.lm.mixture import Lockstep, Request
from engine.lm.reading import can_be_placed, forward, joined, read_prompts
from engine.lm.sampling import Draws, Sampling

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_THREADS = torch.get_num_threads()
_SMALL_PARAMETERS = 100_000_000


def spread(base: Base) -> None:
    """Give a base the threads that suit a few rows; for all of this process.

    A small model is quickest on one, and then is not slowed down by runs that use the other cores.
    """
    torch.set_num_threads(1 if base.model.num_parameters() < _SMALL_PARAMETERS else _THREADS)


@dataclass(eq=False, slots=True)
class Voice:
    """One request on its way: its rows, how many tokens it may say, what it has said, and its draws."""

    rows: Request
    most: int
    tokens: list[int] = field(default_factory=list)
    ended: bool = False
    closed: bool = False
    """Whether it ended by its own end, and not by being long enough or let go."""
    draws: Draws | None = None

    @property
    def left(self) -> int:
        """How many tokens it may still say."""
        return self.most - len(self.tokens)


class Stream:
    """The replies of some voices, one token each a step; others may join between two steps."""

    def __init__(
        self,
        base: Base,
        voices: Sequence[Request] = (),
        *,
        max_new_tokens: int = 64,
        alone: bool = False,
        sampling: Sampling | None = None,
    ) -> None:
        """`alone`: nobody else uses the base until it is closed, and what acts in it may stay there."""
        self._alone, self._standing = alone, ExitStack()
        self._written: Change | None = None
        self._base, self._ends = base, ends_of(base.model, base.tokenizer)
        self.voices = [
            Voice(rows, max_new_tokens, draws=Draws(sampling) if sampling else None) for rows in voices
        ]
        self._waiting: list[Voice] = list(self.voices)
        self._going: list[Voice] = []
        self._state: tuple[DynamicCache, Tensor] | None = None
        self._lockstep: Lockstep | None = None
        self._rows: Rows | None = None
        self._places: list[int] = []

    def close(self) -> None:
        """Leave the base as it was. Only a stream that has it alone changes it beyond a step."""
        self._standing.close()
        self._written = None

    def join(self, rows: Request, *, max_new_tokens: int, sampling: Sampling | None = None) -> Voice:
        """Take another voice in; it speaks from the next step on, or where rows cannot join, after these."""
        voice = Voice(rows, max_new_tokens, draws=Draws(sampling) if sampling else None)
        self._waiting.append(voice)
        return voice

    def leave(self, voice: Voice) -> None:
        """Let a voice go before its end."""
        voice.ended = True
        if voice in self._waiting:
            self._waiting.remove(voice)

    def tokens(self, voice: int) -> int:
        """Return how many tokens a voice, by its number from the start, has said."""
        return len(self.voices[voice].tokens)

    def text(self, voice: int) -> str:
        """Return what a voice, by its number, has said so far."""
        return self.said(self.voices[voice])

    def ended(self, voice: int) -> bool:
        """Say whether a voice, by its number, has finished."""
        return self.voices[voice].ended

    def said(self, voice: Voice) -> str:
        """Return what a voice has said so far, without a last character that is not whole yet."""
        said = self._ends.said(self._base.tokenizer, voice.tokens)
        return said if voice.ended else self._ends.without_a_beginning(said.rstrip(_UNFINISHED))

    @property
    def room(self) -> int:
        """How many positions the batch's rows look back on, at most."""
        return 0 if self._state is None else self._state[1].shape[1]

    def over(self) -> bool:
        """Whether all voices have finished."""
        return not self._waiting and all(voice.ended for voice in self._going)

    @torch.inference_mode()
    def step(self) -> None:
        """Let every voice say one token more; those that have just joined read their prompts first."""
        if self.over():
            return
        self._let_go()
        logits = [self._go_on()] if self._going else []
        if self._waiting and (self._state is None or can_be_placed(self._state[0])):
            logits.append(self._take_in())
        assert self._lockstep is not None
        shares, _ = self._lockstep.shares(torch.cat(logits), self._places)
        likeliest = shares.argmax(dim=-1).tolist()
        for voice, own, token in zip(list(self._going), shares, likeliest, strict=True):
            self._say(voice, voice.draws.token(own) if voice.draws else token)

    def _say(self, voice: Voice, token: int) -> None:
        voice.closed = token in self._ends.ids
        if not voice.closed:
            voice.tokens.append(token)
            voice.closed = self._ends.over(self._base.tokenizer, voice.tokens)
        voice.ended = voice.closed or not voice.left

    def _let_go(self) -> None:
        """Let the rows of voices that have ended leave the batch."""
        if not any(voice.ended for voice in self._going):
            return
        left = [place for place, number in enumerate(self._owners()) if not self._going[number].ended]
        going = [voice for voice in self._going if not voice.ended]
        if going:
            assert self._state is not None
            cache, seen = self._state
            rows = torch.tensor(left, device=seen.device)
            cache.batch_select_indices(rows)
            self._state = cache, seen[rows]
        else:
            self._state = None
        self._seat(going)

    def _go_on(self) -> Tensor:
        """Feed each voice its last token; return the logits [B, V] of its rows."""
        assert self._state is not None
        cache, seen = self._state
        last = [self._going[number].tokens[-1] for number in self._owners()]
        seen = torch.cat([seen, seen.new_ones(len(seen), 1)], dim=1)
        self._state = cache, seen
        with self._acting():
            self._choose(self._places)
            return forward(self._base.model, torch.tensor(last, device=seen.device)[:, None], seen, cache)

    def _take_in(self) -> Tensor:
        """Read the prompts of those who wait and put their rows behind the others; return their logits."""
        new, self._waiting = self._waiting, []
        flat = [row for voice in new for row in voice.rows]
        prefixes = [row.change.prefix if row.change else None for row in flat]
        before, count = self._going, len(self._places)
        self._seat([*before, *new])
        with self._acting():
            logits, cache, seen = read_prompts(
                self._base.model,
                [row.ids for row in flat],
                prefixes,
                max(voice.most for voice in new),
                False,
                lambda rows: self._choose([count + row for row in rows]),
            )
        own = (cache, seen)
        if self._state is not None:
            own = joined(self._base.model, [self._state, own], max(voice.left for voice in self._going))
        self._state = own
        return logits

    def _seat(self, going: list[Voice]) -> None:
        """Make these the batch: how their rows come to tokens, and what changes the model for each."""
        self._going = going
        self._lockstep = Lockstep([voice.rows for voice in going], self._base.model.device)
        changes = [row.change for row in self._lockstep.rows]
        self._places = list(range(len(changes)))
        distinct = list(dict.fromkeys(changes))
        if not going or (self._written is not None and distinct == [self._written]):
            return  # whoever comes next may be answered by what stands there
        self.close()
        acting = any(change and change.acts_in_layers for change in distinct)
        self._rows = None
        if acting and len(distinct) == 1 and self._alone and self._base.model.dtype == torch.float32:
            self._written = distinct[0]
            self._standing.enter_context(written(self._base.model, self._written))
        elif acting:
            self._rows = Rows(self._base.model, changes)
            if self._alone:
                self._standing.enter_context(self._rows.on())

    def _acting(self) -> AbstractContextManager[None]:
        return self._rows.on() if self._rows and not self._alone else nullcontext()

    def _owners(self) -> list[int]:
        return [number for number, voice in enumerate(self._going) for _ in voice.rows]

    def _choose(self, rows: Sequence[int]) -> None:
        if self._rows:
            self._rows.choose(rows)
