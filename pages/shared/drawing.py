"""What is looked up once while a page is drawn, however many of its parts ask for it."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_AS_LONG = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was looked up since a drawing began, by the clock in seconds."""

    began: float
    found: dict[Any, Any] = field(default_factory=dict)


_seen: ContextVar[_Seen | None] = ContextVar("seen", default=None)


def begin() -> None:
    """Look anew at what there is: a page is drawn from here on, or something has been changed."""
    _seen.set(_Seen(time.monotonic()))


@contextmanager
def drawn() -> Iterator[None]:
    """Draw a page, or a part of one that is drawn anew alone: what is looked up is forgotten at the end."""
    within = _seen.get() is not None
    begin()
    try:
        yield
    finally:
        if not within:
            _seen.set(None)


def once_a_drawing(look: Callable[P, R]) -> Callable[P, R]:
    """Look something up once a drawing, for hashable arguments; anew outside of one, and in a long one."""

    @functools.wraps(look)
    def looked_up(*args: P.args, **kwargs: P.kwargs) -> R:
        seen, asked = _seen.get(), (look, args, tuple(kwargs.items()))
        if seen is None or time.monotonic() - seen.began > _AS_LONG:
            return look(*args, **kwargs)
        if asked not in seen.found:
            seen.found[asked] = look(*args, **kwargs)
        found: R = seen.found[asked]
        return found

    return looked_up
