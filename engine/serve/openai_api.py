"""An OpenAI-compatible address over variants: /v1/models and /v1/chat/completions, streaming or whole.

Owns the format: what of a request counts, who answers it and how an error is told. The persona is `user`, or
stands behind the model's name: "hybrid:p001". `recipe` in the body (the client's extra_body) answers by
effects of this workspace's runs instead of a variant, `meta` gives the circumstances. Who is not known here
is answered by the variant for unseen personas, and the answer says so. Every request needs the token.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.core.errors import EngineError, unknown_name
from engine.core.questions import new_id
from engine.core.types import Example, Message
from engine.data.dataset import load_dataset
from engine.lm.effects import Recipe, read_recipe
from engine.results.variants import Variant
from engine.serve.answering import Stage
from engine.serve.batching import Batcher, Heard, Wish
from engine.serve.conversation import can_answer
from engine.serve.published import hash_of_token

MOST_TOKENS = 2048
_USUAL_TOKENS = 256
_MOST_BODY_BYTES = 1 << 20
_MOST_WAITING = 256
_LOOK_SECONDS = 1.0


class _Part(BaseModel):
    type: Literal["text"]
    text: str


class _Turn(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]

    @property
    def message(self) -> Message:
        said = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message("system" if self.role == "developer" else self.role, said)


class Wanted(BaseModel):
    """What a request may hold; what it holds beyond that changes nothing."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[_Turn] = Field(min_length=1)
    user: str | None = None
    recipe: dict[str, Any] | None = None
    meta: dict[str, Any] = Field(default_factory=dict)
    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    n: int | None = Field(None, ge=1)

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end a reply."""
        told = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(word for word in told if word)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who answers a request."""

    recipe: Recipe
    variant: str
    persona_id: str
    is_cold_start: bool


class Cast:
    """The variants that are offered, and who answers for whom."""

    def __init__(self, stage: Stage, offered: Sequence[Variant], known: Sequence[Variant]) -> None:
        """`known` are all variants of the workspace: the one for unseen personas is among them."""
        self._shelf = stage.shelf
        self._personas = frozenset(one.persona_id for one in load_dataset(stage.ws).personas)
        by_name = {one.variant: one for one in known if can_answer(one)}
        self.cold = next((by_name[name] for name in ("unified", "base") if name in by_name), None)
        cold = [self.cold] if self.cold is not None and self.cold not in offered else []
        self.offered = {one.variant: one for one in (*offered, *cold)}

    def choose(self, wanted: Wanted) -> Chosen:
        """Return who answers. Raises EngineError for a variant that is not offered."""
        name, _, behind = wanted.model.partition(":")
        if wanted.model in self.offered:
            name, behind = wanted.model, ""
        if name not in self.offered:
            raise unknown_name("model", name, list(self.offered))
        persona = behind or wanted.user or ""
        recipe = read_recipe(wanted.recipe if wanted.recipe is not None else self.offered[name].recipe)
        if persona in self._personas and self._shelf.covers(recipe, persona):
            return Chosen(recipe, "recipe" if wanted.recipe is not None else name, persona, False)
        if wanted.recipe is not None or self.cold is None:
            self._shelf.sides(recipe, persona)  # says what is missing
            return Chosen(recipe, "recipe" if wanted.recipe is not None else name, persona, False)
        return Chosen(read_recipe(self.cold.recipe), self.cold.variant, persona, self.cold.variant != name)


def application(cast: Cast, batcher: Batcher, token_hash: str) -> Starlette:
    """Return the application (ASGI). `token_hash` is the sha256, in hex, of the token it asks for."""
    desk = _Desk(cast, batcher, token_hash)
    return Starlette(
        routes=[
            Route("/v1/models", desk.models),
            Route("/v1/models/{name:path}", desk.model),
            Route("/v1/chat/completions", desk.completions, methods=["POST"]),
            Route("/health", lambda _: JSONResponse({"status": "ok"})),
        ]
    )


class _Desk:
    def __init__(self, cast: Cast, batcher: Batcher, token_hash: str) -> None:
        self._cast, self._batcher, self._token_hash = cast, batcher, token_hash

    async def models(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        return JSONResponse({"object": "list", "data": [_model(one) for one in self._cast.offered.values()]})

    async def model(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        found = self._cast.offered.get(request.path_params["name"])
        return _error(404, "There is no such model.") if found is None else JSONResponse(_model(found))

    async def completions(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if self._batcher.load >= _MOST_WAITING:
            return _error(503, "Too many requests wait already.", headers={"retry-after": "2"})
        body = await _body(request)
        if body is None:
            return _error(413, f"A request may hold {_MOST_BODY_BYTES // 1024} KiB.")
        try:
            wanted = Wanted.model_validate_json(body)
            refuse(wanted)
            chosen = self._cast.choose(wanted)
        except ValidationError as error:
            return _error(400, _first_fault(error))
        except EngineError as error:
            return _error(404 if "model" in error.message else 400, f"{error.message} {error.hint or ''}")
        reply = _Reply(wanted, chosen, self._batcher)
        if wanted.stream:
            return StreamingResponse(reply.events(), media_type="text/event-stream")
        return await reply.whole(request)

    def _refused(self, request: Request) -> Response | None:
        """Return the refusal of a request without the token, None where it has it."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if hmac.compare_digest(hash_of_token(given), self._token_hash):
            return None
        return _error(401, "This address asks for its token: Authorization: Bearer TOKEN.")


class _Reply:
    """One reply on its way to its caller."""

    def __init__(self, wanted: Wanted, chosen: Chosen, batcher: Batcher) -> None:
        self._wanted, self._chosen = wanted, chosen
        self._id, self._made = f"chatcmpl-{new_id()}", int(time.time())
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        context = tuple(turn.message for turn in wanted.messages)
        self._wish = Wish(
            chosen.recipe,
            Example(self._id, chosen.persona_id, "", 0, context, "", dict(wanted.meta)),
            lambda heard: _tell(loop, self._heard, heard),
            max_new_tokens=wanted.max_completion_tokens or wanted.max_tokens or _USUAL_TOKENS,
            stop=wanted.stops,
            whole=not wanted.stream,
        )
        batcher.submit(self._wish)

    async def whole(self, request: Request) -> Response:
        """Return the reply at its end; one whose caller has gone is let go."""
        text, last = "", Heard()
        while last.ended is None:
            try:
                last = await asyncio.wait_for(self._heard.get(), _LOOK_SECONDS)
            except TimeoutError:
                if await request.is_disconnected():
                    self._wish.unwanted.set()
                    return Response(status_code=499)
                continue
            text += last.text
        if last.error is not None:
            return _error(400, f"{last.error.message} {last.error.hint or ''}")
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": last.ended,
            "logprobs": None,
        }
        return JSONResponse(
            self._object("chat.completion", [choice], usage=_usage(last), memories=last.memories)
        )

    async def events(self) -> AsyncIterator[str]:
        """Yield the reply as server-sent events, a piece each."""
        try:
            yield self._event({"role": "assistant", "content": ""})
            last = Heard()
            while last.ended is None:
                last = await self._heard.get()
                if last.error is not None:
                    yield f"data: {json.dumps(_fault(400, last.error.message))}\n\n"
                    break
                if last.text:
                    yield self._event({"content": last.text})
            if last.error is None:
                yield self._event({}, ended=last.ended)
                if (self._wanted.stream_options or {}).get("include_usage"):
                    told = self._object("chat.completion.chunk", [], usage=_usage(last))
                    yield f"data: {json.dumps(told)}\n\n"
            yield "data: [DONE]\n\n"
        finally:
            self._wish.unwanted.set()

    def _event(self, delta: Mapping[str, str], *, ended: str | None = None) -> str:
        choice = {"index": 0, "delta": dict(delta), "finish_reason": ended, "logprobs": None}
        return f"data: {json.dumps(self._object('chat.completion.chunk', [choice]))}\n\n"

    def _object(self, kind: str, choices: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        chosen = self._chosen
        memories = more.pop("memories", None)
        told = {"variant": chosen.variant, "persona": chosen.persona_id, "cold_start": chosen.is_cold_start}
        told |= {"memories": memories} if memories is not None else {}
        return {
            "id": self._id,
            "object": kind,
            "created": self._made,
            "model": self._wanted.model,
            "choices": list(choices),
            "persona_lab": told,
            **more,
        }


def refuse(wanted: Wanted) -> None:
    """Raise EngineError for what is asked of this address and not done here."""
    if wanted.temperature:
        raise EngineError("Variants answer greedily here, as they are scored.", "Set temperature to 0.")
    if wanted.n not in (None, 1):
        raise EngineError("One reply a request.", "Leave n out.")
    if wanted.messages[-1].role != "user" or not wanted.messages[-1].message.text.strip():
        raise EngineError("The last message must be the user's, and say something.")


def _tell(loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[Heard], heard: Heard) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(queue.put_nowait, heard)


async def _body(request: Request) -> bytes | None:
    """Return the body of a request, None where it is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BODY_BYTES:
            return None
    return body


def _model(variant: Variant) -> dict[str, Any]:
    return {
        "id": variant.variant,
        "object": "model",
        "created": 0,
        "owned_by": "persona-lab",
        "persona_lab": {"variant_id": variant.variant_id, "family": variant.family},
    }


def _usage(heard: Heard) -> dict[str, int]:
    return {
        "prompt_tokens": heard.prompt_tokens,
        "completion_tokens": heard.reply_tokens,
        "total_tokens": heard.prompt_tokens + heard.reply_tokens,
    }


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {fault['msg']}." if where else f"{fault['msg']}."


def _fault(status: int, message: str) -> dict[str, Any]:
    kind = {401: "authentication_error", 503: "overloaded_error"}.get(status, "invalid_request_error")
    return {"error": {"message": message.strip(), "type": kind, "param": None, "code": None}}


def _error(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(_fault(status, message), status_code=status, headers=headers)
