"""Asks a remote model many things: no faster than agreed, no dearer than allowed, ended when asked to.

Knows no provider, no file and no price: who asks says what may be asked next and keeps what is said.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine.lm.remote.endpoint import Said

Messages = Sequence[Mapping[str, str]]
Ask = Callable[[Messages], Awaitable[Said]]
_LOOK_SECONDS = 0.2
_LAST_WORDS_SECONDS = 8.0


class Pace:
    """Spaces the starts of requests evenly, so that no minute sees more than agreed."""

    def __init__(self, per_minute: float) -> None:
        self._gap, self._next = 60.0 / per_minute, time.monotonic()

    @property
    def wait_seconds(self) -> float:
        """How long until the next request may start; 0 when it may now."""
        return max(0.0, self._next - time.monotonic())

    def take(self) -> None:
        """Note that a request starts now."""
        self._next = max(self._next, time.monotonic()) + self._gap


async def ask_all(
    ask: Ask,
    wanted: Mapping[str, Messages],
    *,
    pace: Pace,
    at_once: int,
    may_ask: Callable[[str], bool],
    on_reply: Callable[[str, Said], None],
    stop: Callable[[], bool],
) -> None:
    """Ask everything wanted, in order, at most `at_once` at a time; `on_reply` gets each reply as it comes.

    The first request goes alone, so that a wrong key costs one request. Ends early, without an error, when
    `stop` says so, or when `may_ask` refuses the next one with nothing under way. An error of `ask` ends it
    too. Requests under way then have some seconds left: what is paid for is kept.
    """
    waiting, flying, proven = deque(wanted), dict[asyncio.Task[Said], str](), False
    try:
        while (waiting or flying) and not stop():
            refused = False
            while waiting and len(flying) < (at_once if proven else 1) and not pace.wait_seconds:
                refused = not may_ask(waiting[0])
                if refused:
                    break
                pace.take()
                name = waiting.popleft()
                flying[asyncio.ensure_future(ask(wanted[name]))] = name
            if refused and not flying:
                return  # nothing comes back that could change it
            for name, said in await _landed(flying, _patience(pace, waiting)):
                proven = True
                on_reply(name, said)
    finally:
        await _land(flying, on_reply)


def _patience(pace: Pace, waiting: Sequence[str]) -> float:
    """Until something other than a reply has to be looked after."""
    return min(_LOOK_SECONDS, pace.wait_seconds or _LOOK_SECONDS) if waiting else _LOOK_SECONDS


async def _landed(flying: dict[asyncio.Task[Said], str], patience: float) -> list[tuple[str, Said]]:
    """Wait for replies for a moment; return those that have come. Raises what a request raised."""
    if not flying:
        await asyncio.sleep(patience)
        return []
    done, _ = await asyncio.wait(flying, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    good = [task for task in done if task.exception() is None]
    landed = [(flying.pop(task), task.result()) for task in good]
    bad = next((task for task in done if task not in good), None)
    if bad is not None and not landed:
        flying.pop(bad)
        bad.result()
    return landed  # a bad one among good ones is met at the next look


async def _land(flying: Mapping[asyncio.Task[Said], str], on_reply: Callable[[str, Said], None]) -> None:
    """Give what is under way its last seconds, keep what comes, and end the rest."""
    if not flying:
        return
    done, late = await asyncio.wait(flying, timeout=_LAST_WORDS_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for task in done:
        if task.exception() is None:
            on_reply(flying[task], task.result())


Result = TypeVar("Result")


def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end in a thread with a loop of its own; return or raise what it does."""
    with ThreadPoolExecutor(1, thread_name_prefix="remote") as pool:
        return pool.submit(asyncio.run, work).result()
