"""Requests of many callers in one batch: who asks joins between two tokens, who is answered leaves.

Owns the one thread that touches the model. Knows nothing of addresses and formats: a wish goes in, and what
it is told comes back piece by piece.
"""

import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from engine.core.errors import EngineError
from engine.core.types import Example
from engine.lm.asking import Ask, Asker
from engine.lm.effects import Recipe
from engine.lm.lean import lean
from engine.lm.sampling import Sampling
from engine.lm.streaming import Stream, Voice, spread
from engine.serve.answering import Stage

MOST_ROWS = 64
"""Rows that are computed together; who comes later waits."""
_MOST_CHANGES = 256
"""Sums of adapters that are held for the next who asks: requests may bring weights without end."""


class BatchFailed(EngineError):
    """What is nobody's fault who asked."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of a reply: new text, and once it has ended why, with the tokens read and said."""

    text: str = ""
    ended: str | None = None
    prompt_tokens: int = 0
    reply_tokens: int = 0
    shown: Mapping[str, int] = field(default_factory=dict)
    """At its end: how many memories stood in the prompt, and what of it had to go to fit the window."""
    error: EngineError | None = None


@dataclass(eq=False, slots=True)
class Wish:
    """One message to be answered. `tell` is called from the model's thread; texts in `stop` end it.

    `whole`: it is told once, at its end.
    """

    recipe: Recipe
    example: Example
    tell: Callable[[Heard], None]
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    whole: bool = False
    sampling: Sampling | None = None
    """How its tokens are drawn; None takes the likeliest."""
    unwanted: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False, slots=True)
class _Seat:
    wish: Wish
    voice: Voice
    ask: Ask
    told: str = ""


class Batcher:
    """Answers wishes over one loaded base, all that are there in one batch. A context manager."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._changed = threading.Condition()
        self._waiting: deque[Wish] = deque()
        self._seats: list[_Seat] = []
        self._joining: Wish | None = None
        self._askers: dict[int, Asker] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)

    def __enter__(self) -> "Batcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def load(self) -> int:
        """How many wishes wait or are being answered."""
        return len(self._waiting) + len(self._seats)

    def submit(self, wish: Wish) -> None:
        """Take a wish in; it is told of from the model's thread."""
        with self._changed:
            self._waiting.append(wish)
            self._changed.notify_all()

    def _work(self) -> None:
        spread(self._stage.base)
        with lean(self._stage.base.model):  # this thread has the base alone
            self._answer()

    def _answer(self) -> None:
        stream = Stream(self._stage.base, alone=True)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._seats or self._closing)
                if self._closing:
                    stream.close()
                    return
            try:
                self._take_in(stream)
                stream.step()
                self._seats = [seat for seat in self._seats if self._tell(stream, seat)]
            except Exception as error:  # noqa: BLE001 - the boundary: one batch's fault ends no server
                traceback.print_exc()
                told = BatchFailed(f"The batch failed: {error}", "Ask again.")
                stream.close()
                failed = [seat.wish for seat in self._seats] + ([self._joining] if self._joining else [])
                self._seats, self._joining = [], None
                stream = Stream(self._stage.base, alone=True)
                for wish in failed:
                    wish.tell(Heard(ended="error", error=told))

    def _take_in(self, stream: Stream) -> None:
        """Let those who wait join, as far as there is room."""
        rows = sum(len(seat.voice.rows) for seat in self._seats)
        while self._waiting and rows < MOST_ROWS:
            self._joining = wish = self._waiting.popleft()
            if wish.unwanted.is_set():
                continue
            try:
                ask = self._ask(wish)
            except EngineError as error:
                wish.tell(Heard(ended="error", error=error))
                continue
            voice = stream.join(ask.rows, max_new_tokens=wish.max_new_tokens, sampling=wish.sampling)
            self._seats.append(_Seat(wish, voice, ask))
            rows += len(ask.rows)
        self._joining = None

    def _ask(self, wish: Wish) -> Ask:
        most = wish.max_new_tokens
        if most not in self._askers:
            self._askers = dict(list(self._askers.items())[-3:])
            self._askers[most] = Asker(
                self._stage.ws,
                self._stage.base,
                self._stage.shelf,
                max_new_tokens=most,
                scorer=self._stage.loaded_scorer,
            )
        asker = self._askers[most]
        try:
            (ask,) = asker.asks(wish.recipe, [wish.example])
        finally:
            asker.forget_prompts()
            self._stage.shelf.keep(_MOST_CHANGES)
        if len(ask.rows) > MOST_ROWS:
            raise EngineError(
                f"This recipe answers by {len(ask.rows)} models at once; {MOST_ROWS} can.",
                "Name fewer parts.",
            )
        return ask

    def _tell(self, stream: Stream, seat: _Seat) -> bool:
        """Tell a wish what is new; False when it has ended."""
        wish, voice = seat.wish, seat.voice
        if wish.whole and not (wish.stop or voice.ended or wish.unwanted.is_set()):
            return True
        text, why = stream.said(voice), None
        at = min((found for word in wish.stop if (found := text.find(word)) >= 0), default=-1)
        if at >= 0:
            text, why = text[:at], "stop"
        elif voice.ended:
            why = "stop" if voice.closed else "length"
        elif not wish.unwanted.is_set():
            text = _without_a_beginning_of(wish.stop, text)
        if why is None and wish.unwanted.is_set():
            why = "cancelled"
        if why is not None:
            stream.leave(voice)
        heard = Heard(text[len(seat.told) :], why, sum(len(row.ids) for row in voice.rows), len(voice.tokens))
        seat.told = "" if wish.whole else text
        if why is not None or (heard.text and not wish.whole):
            wish.tell(replace(heard, shown=_shown(seat.ask)) if why is not None else heard)
        return why is None


def _shown(ask: Ask) -> dict[str, int]:
    cut = {"memories_cut": ask.memories_cut, "turns_cut": ask.turns_cut}
    return {"memories": len(ask.memories), **{name: count for name, count in cut.items() if count}}


def _without_a_beginning_of(words: tuple[str, ...], text: str) -> str:
    """Return the text without an end that may be the beginning of one of the words."""
    longest = max(
        (
            size
            for word in words
            for size in range(1, min(len(word), len(text) + 1))
            if text.endswith(word[:size])
        ),
        default=0,
    )
    return text[: len(text) - longest]
