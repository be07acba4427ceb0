"""One reply of a remote model to one message, outside of a run: what `generate` asks for."""

from engine.core.paths import Workspace
from engine.core.types import Example
from engine.lm.effects import Prompt
from engine.lm.remote.asking import finished
from engine.lm.remote.clients import opened
from engine.lm.remote.endpoint import Endpoint, Said
from engine.lm.remote.keys import required_key
from engine.lm.remote.prompts import Told, told


def reply_to(
    ws: Workspace, endpoint: Endpoint, asked: Example, *, whose: str, shown: Prompt
) -> tuple[Told, Said]:
    """Return what the model was told and what it said.

    `whose` is the persona whose profile and memories are shown. Raises EngineError as a run would.
    """
    key = required_key(endpoint)
    (one,) = told(ws, [asked], shown=shown, whose=whose)

    async def ask() -> Said:
        async with opened(endpoint, key) as send:
            return await send(one.messages)

    return one, finished(ask())
