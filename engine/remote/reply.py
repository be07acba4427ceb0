"""One reply of a remote model to one message, outside of a run: what `generate` asks for."""

from __future__ import annotations

from engine.paths import Workspace
from engine.remote.clients import opened
from engine.remote.endpoint import Endpoint
from engine.remote.keys import required_key
from engine.remote.loop import finished
from engine.remote.paid import Said
from engine.remote.prompts import Told, told
from engine.types import Example


def reply_to(
    ws: Workspace,
    endpoint: Endpoint,
    asked: Example,
    *,
    whose: str,
    profile: bool,
    memories: int,
    recency: float,
) -> tuple[Told, Said]:
    """Return what the model was told and what it said.

    `whose` is the persona whose profile and memories are shown. Raises EngineError as a run would.
    """
    key = required_key(endpoint)
    (one,) = told(ws, [asked], profile=profile, memories=memories, recency=recency, whose=whose)

    async def ask() -> Said:
        async with opened(endpoint, key) as send:
            return await send(one.messages)

    return one, finished(ask())
