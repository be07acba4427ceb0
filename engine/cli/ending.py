"""How the command line ends when it is told to, by SIGTERM or Ctrl-C: by a KeyboardInterrupt that is heard.

Imports, weak references and libraries swallow one that comes at the wrong moment; so it is raised again until
it is on its way. Owns the process's signals and its alarm; nothing else here uses them.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_SECONDS = 0.2


def listen() -> None:
    """Take the signals of this process, from its main thread."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _end)


@contextmanager
def until_told() -> Iterator[None]:
    """Go on with a block until told to end, which is how it is meant to end."""
    try:
        yield
    except KeyboardInterrupt:
        heard()


def heard() -> bool:
    """Raise it no more; say whether it was told to end."""
    return signal.setitimer(signal.ITIMER_REAL, 0)[0] > 0


def _end(number: int, _: object) -> None:
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    if number != signal.SIGALRM or not _is_on_its_way(sys.exception()):
        raise KeyboardInterrupt


def _is_on_its_way(error: BaseException | None) -> bool:
    """Say whether what is being handled is the end, or came of it: what tidies up is let be."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
