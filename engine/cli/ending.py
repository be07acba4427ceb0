"""How the command line ends when told to, by SIGTERM, Ctrl-C or a terminal that goes: by a KeyboardInterrupt.

Imports, weak references and libraries swallow one that comes at the wrong moment; so it is raised again until
it is on its way. Owns the process's signals and its alarm; nothing else here uses them.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_AGAIN_SECONDS = 0.2
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_told = 0


class _Told(KeyboardInterrupt):
    """Of a kind of its own: where a mere KeyboardInterrupt passed an `eval`, no exit code is obeyed."""


def listen() -> None:
    """Take the signals of this process, from its main thread."""
    _take(_end)
    signal.signal(signal.SIGALRM, _end)


def hear_no_more() -> None:
    """Let the next signal end it at once: the last words, and the interpreter's own end, need no tidying."""
    _take(signal.SIG_DFL)


@contextmanager
def until_told() -> Iterator[None]:
    """Go on with a block until told to end, which is how it is meant to end."""
    try:
        yield
    except KeyboardInterrupt:
        heard()


def heard() -> int:
    """Raise it no more; return the signal that told it to end, 0 where none did."""
    global _told
    signal.setitimer(signal.ITIMER_REAL, 0)
    if _told:
        hear_no_more()
    told, _told = _told, 0
    return told


def _take(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    for number in _ENDS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(number, handler)


def _end(number: int, _: object) -> None:
    global _told
    _told = _told or number
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    if number != signal.SIGALRM or not _is_on_its_way(sys.exception()):
        raise _Told


def _is_on_its_way(error: BaseException | None) -> bool:
    """Say whether what is being handled is the end, or came of it: what tidies up is let be."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
