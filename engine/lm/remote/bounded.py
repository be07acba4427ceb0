"""A remote answer has a size and a time: a server that never stops sending fills no memory and stalls nobody.

Owns both ends of it: the hook that stops reading, and the way to ask that says why. Knows no provider.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from engine.core.errors import EngineError
from engine.core.limits import allow_more, limits, megabytes
from engine.lm.remote.asking import Ask, Messages
from engine.lm.remote.endpoint import Endpoint, Said

# Packed answers swell; they are neither asked for nor taken.
HEADERS = {"Accept-Encoding": "identity"}


class TooLarge(EngineError):
    """An answer that was not read to its end; the client's own errors may stand around it."""


async def no_larger(response: Any) -> None:
    """Let an httpx2 response be read up to the limit and no further: a client's hook for responses."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise TooLarge(
            "The endpoint packed its answer, unasked.", "Check that base_url is a model's endpoint."
        )
    import httpx2

    whole = response.stream

    class Counted(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            taken, most = 0, limits().reply_bytes
            async for chunk in whole:
                taken += len(chunk)
                if taken > most:
                    raise TooLarge(
                        f"The endpoint's answer is larger than {megabytes(most)}.",
                        "Check that base_url is a model's endpoint, or allow more: "
                        + allow_more("reply_bytes"),
                    )
                yield chunk

        async def aclose(self) -> None:
            await whole.aclose()

    response.stream = Counted()


def in_bounds(ask: Ask, endpoint: Endpoint) -> Ask:
    """Return the way to ask that gives up when its time is over, and says when an answer was too large."""

    async def asked(messages: Messages) -> Said:
        seconds = limits().reply_seconds
        try:
            async with asyncio.timeout(seconds):
                return await ask(messages)
        except TimeoutError as error:
            raise EngineError(
                f"{endpoint.url} gave no whole answer within {seconds} seconds.",
                "Check base_url, or allow more time: " + allow_more("reply_seconds"),
            ) from error
        except EngineError as error:
            raise _beneath(error) from error

    return asked


def _beneath(error: BaseException) -> BaseException:
    """Return the TooLarge that a client's errors were raised from; the error itself where there is none."""
    below: BaseException | None = error
    while below is not None and not isinstance(below, TooLarge):
        below = below.__cause__
    return below or error
