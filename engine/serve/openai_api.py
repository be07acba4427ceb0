"""An OpenAI-compatible address over variants: /v1/models and /v1/chat/completions, streaming or whole.

Owns the format: what of a request counts, who answers it and how an error is told. The persona is `user`, or
stands behind the model's name: "hybrid:p001". `recipe` in the body (the client's extra_body) answers by
effects of this workspace's runs instead of a variant, `meta` gives the circumstances. Who is not known here
is answered by the variant for unseen personas, and the answer says so. Every request needs the token.
"""

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.core.errors import EngineError, unknown_name
from engine.core.integrity import ChangedFiles
from engine.core.paths import TornFile
from engine.core.questions import new_id
from engine.core.types import Example, Message
from engine.data.dataset import load_dataset
from engine.lm.effects import Prompt, Recipe, read_recipe
from engine.lm.lengths import TooLong
from engine.lm.sampling import Sampling
from engine.lm.scorer import NoScorer
from engine.results.variants import Variant
from engine.serve.answering import Stage
from engine.serve.batching import Batcher, BatchFailed, Heard, Wish
from engine.serve.conversation import can_answer
from engine.serve.published import hash_of_token

MOST_TOKENS = 2048
MOST_STOPS = 16
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
    """What a request may hold. Of the rest, `refuse` lets through what would change no answer."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[_Turn] = Field(min_length=1)
    user: str | None = None
    recipe: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None
    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    stop: str | Annotated[list[str], Field(max_length=MOST_STOPS)] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    n: int | None = Field(None, ge=1)

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end a reply."""
        told = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(word for word in told if word)

    @property
    def sampling(self) -> Sampling | None:
        """How tokens are drawn; None, the likeliest each, without a temperature."""
        if not self.temperature:
            return None
        seed = secrets.randbits(32) if self.seed is None else self.seed
        return Sampling(self.temperature, self.top_p or 1.0, seed)


_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "logprobs": (False,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
}
"""What OpenAI's API knows that would change an answer and is not done here, with what asks for nothing."""


class Refused(EngineError):
    """What whoever asks can mend in her request."""


class UnknownModel(Refused):
    """A variant that is not offered."""


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

    def named(self, model: str) -> tuple[str, str]:
        """Return the variant that a model's name is, and the persona behind it. Raises UnknownModel."""
        name, _, behind = (model, "", "") if model in self.offered else model.partition(":")
        if name not in self.offered:
            unknown = unknown_name("model", name, list(self.offered))
            raise UnknownModel(unknown.message, unknown.hint)
        return name, behind

    def choose(self, wanted: Wanted) -> Chosen:
        """Return who answers. Raises Refused for what is asked, EngineError where what answers is gone."""
        name, behind = self.named(wanted.model)
        if behind and wanted.user and behind != wanted.user:
            raise Refused(
                f"The model names {behind}, and user names {wanted.user}.", "Name one persona, in one place."
            )
        persona = behind or wanted.user or ""
        recipe = read_recipe(wanted.recipe if wanted.recipe is not None else self.offered[name].recipe)
        if wanted.recipe is None and self.cold is not None and not self._serves(recipe, persona):
            return Chosen(read_recipe(self.cold.recipe), self.cold.variant, persona, True)
        self._shelf.sides(recipe, persona)  # says what is missing
        return Chosen(recipe, "recipe" if wanted.recipe is not None else name, persona, False)

    def _serves(self, recipe: Recipe, persona: str) -> bool:
        """Say whether a recipe has what it needs for this persona: what is the same for all needs none."""
        if not self._shelf.covers(recipe, persona):
            return False
        sides = self._shelf.sides(recipe, persona)
        return persona in self._personas or all(side.prompt == Prompt() for side in sides)


def application(cast: Cast, batcher: Batcher, token_hash: str) -> Starlette:
    """Return the application (ASGI). `token_hash` is the sha256, in hex, of the token it asks for."""
    desk = _Desk(cast, batcher, token_hash)
    return Starlette(
        routes=[
            Route("/v1/models", desk.models),
            Route("/v1/models/{name:path}", desk.model),
            Route("/v1/chat/completions", desk.completions, methods=["POST"]),
            Route("/health", lambda _: JSONResponse({"status": "ok"})),
        ],
        exception_handlers={HTTPException: _not_here, ClientDisconnect: _gone, Exception: _failed},
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
        asked = str(request.path_params["name"])
        try:
            name, _ = self._cast.named(asked)
        except UnknownModel as error:
            return _refusal(error)
        return JSONResponse({**_model(self._cast.offered[name]), "id": asked})

    async def completions(self, request: Request) -> Response:
        try:
            return await self._completions(request)
        except asyncio.CancelledError:
            return _error(503, "This server ends.")

    async def _completions(self, request: Request) -> Response:
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
            return _refusal(error, wanted.recipe)
        reply = _Reply(wanted, chosen, self._batcher)
        return await (reply.stream(request) if wanted.stream else reply.whole(request))

    def _refused(self, request: Request) -> Response | None:
        """Return the refusal of a request without the token, None where it has it."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_known = hmac.compare_digest(hash_of_token(given.strip()), self._token_hash)
        if scheme.lower() == "bearer" and is_known:
            return None
        told = "This address asks for its token: Authorization: Bearer TOKEN."
        return _error(401, told, headers={"www-authenticate": "Bearer"})


class _Reply:
    """One reply on its way to its caller."""

    def __init__(self, wanted: Wanted, chosen: Chosen, batcher: Batcher) -> None:
        self._wanted, self._chosen = wanted, chosen
        self._counts = bool(wanted.stream and (wanted.stream_options or {}).get("include_usage"))
        self._id, self._made = f"chatcmpl-{new_id()}", int(time.time())
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        context = tuple(turn.message for turn in wanted.messages)
        self._wish = Wish(
            chosen.recipe,
            Example(self._id, chosen.persona_id, "", 0, context, "", dict(wanted.meta or {})),
            lambda heard: _tell(loop, self._heard, heard),
            max_new_tokens=wanted.max_completion_tokens or wanted.max_tokens or _USUAL_TOKENS,
            stop=wanted.stops,
            whole=not wanted.stream,
            sampling=wanted.sampling,
        )
        batcher.submit(self._wish)

    async def whole(self, request: Request) -> Response:
        """Return the reply at its end."""
        last = await self._first(request)  # it is told once
        if isinstance(last, Response):
            return last
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": last.text},
            "finish_reason": last.ended,
            "logprobs": None,
        }
        return JSONResponse(self._object("chat.completion", [choice], last.shown, usage=_usage(last)))

    async def stream(self, request: Request) -> Response:
        """Return the reply as server-sent events, a piece each; what cannot be answered is refused whole."""
        first = await self._first(request)
        if isinstance(first, Response):
            return first
        return StreamingResponse(self._events(first), media_type="text/event-stream")

    async def _first(self, request: Request) -> Heard | Response:
        """Return what is heard first, or the refusal; one whose caller has gone is let go."""
        while True:
            try:
                first = await asyncio.wait_for(self._heard.get(), _LOOK_SECONDS)
            except TimeoutError:
                if await request.is_disconnected():
                    self._wish.unwanted.set()
                    return await _gone()
                continue
            return first if first.error is None else _refusal(first.error, self._wanted.recipe)

    async def _events(self, last: Heard) -> AsyncIterator[str]:
        try:
            yield self._event({"role": "assistant", "content": ""})
            while True:
                if last.error is not None:
                    told = _fault(_status(last.error, self._wanted.recipe), last.error.message)
                    yield f"data: {json.dumps(told)}\n\n"
                if last.text:
                    yield self._event({"content": last.text})
                if last.ended is not None:
                    break
                last = await self._heard.get()
            if last.error is None:
                yield self._event({}, last)
                if self._counts:
                    told = self._object("chat.completion.chunk", [], usage=_usage(last))
                    yield f"data: {json.dumps(told)}\n\n"
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:  # this server ends, and so does the stream
            return
        finally:
            self._wish.unwanted.set()

    def _event(self, delta: Mapping[str, str], last: Heard | None = None) -> str:
        ended, shown = (last.ended, last.shown) if last else (None, None)
        choice = {"index": 0, "delta": dict(delta), "finish_reason": ended, "logprobs": None}
        usage = {"usage": None} if self._counts else {}
        return f"data: {json.dumps(self._object('chat.completion.chunk', [choice], shown, **usage))}\n\n"

    def _object(
        self,
        kind: str,
        choices: Sequence[Mapping[str, Any]],
        shown: Mapping[str, int] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        chosen = self._chosen
        told = {"variant": chosen.variant, "persona": chosen.persona_id, "cold_start": chosen.is_cold_start}
        return {
            "id": self._id,
            "object": kind,
            "created": self._made,
            "model": self._wanted.model,
            "choices": list(choices),
            "persona_lab": {**told, **(shown or {})},
            **more,
        }


def refuse(wanted: Wanted) -> None:
    """Raise Refused for what is asked of this address and not done here."""
    if wanted.n not in (None, 1):
        raise Refused("One reply a request.", "Leave n out.")
    for name, value in (wanted.model_extra or {}).items():
        if value is not None and name in _NEUTRAL and value not in _NEUTRAL[name]:
            raise Refused(f"{name} is not done here, and would change the answer.", f"Leave {name} out.")
    if wanted.messages[-1].role != "user" or not wanted.messages[-1].message.text.strip():
        raise Refused("The last message must be the user's, and say something.")


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
    """Return the words of the first fault; of a value of several forms, of the form that fits farthest."""
    first, *others = error.errors()
    same = [first, *(one for one in others if one["loc"][:3] == first["loc"][:3])]
    fault = max(same, key=lambda one: len(one["loc"]))
    kinds = ("str", "list[_Part]")  # which form of a content it was tried as
    where = ".".join(str(part) for part in fault["loc"] if part not in kinds)
    return f"{where}: {fault['msg']}." if where else f"{fault['msg']}."


_TYPES = {401: "authentication_error", 500: "server_error", 503: "overloaded_error"}
_CODES = {401: "invalid_api_key", 404: "model_not_found"}


def _fault(status: int, message: str, *, code: str | None = None) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message.strip(), "type": kind, "param": None, "code": code}}


_BROKEN_HERE = (BatchFailed, ChangedFiles, NoScorer, TornFile)


def _status(error: EngineError, brought: Mapping[str, Any] | None) -> int:
    """400 and 404 for a request, and for a recipe that it brought; 500 for what a variant stands on here."""
    if isinstance(error, UnknownModel):
        return 404
    is_hers = isinstance(error, Refused | TooLong) or brought is not None
    return 400 if is_hers and not isinstance(error, _BROKEN_HERE) else 500


def _refusal(error: EngineError, brought: Mapping[str, Any] | None = None) -> Response:
    code = "context_length_exceeded" if isinstance(error, TooLong) else None
    return _error(_status(error, brought), f"{error.message} {error.hint or ''}", code=code)


async def _not_here(request: Request, error: Exception) -> Response:
    """What is asked of an address that there is not, or otherwise than it is answered."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    told = "Here are /v1/models and, to be posted to, /v1/chat/completions."
    words = f"{request.method} {request.url.path} is not answered. {told}"
    return _error(status, words, code="unknown_url", headers=getattr(error, "headers", None))


async def _gone(*_: object) -> Response:
    """To a caller who has gone: nobody reads it."""
    return Response(status_code=499)


async def _failed(_: Request, error: Exception) -> Response:
    """A fault of this server: the server's log holds it, whoever asked learns no more than that."""
    return _error(500, f"The server failed: {type(error).__name__}. Ask again.")


def _error(
    status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    told = _fault(status, message, code=code or _CODES.get(status))
    return JSONResponse(told, status_code=status, headers=headers)
