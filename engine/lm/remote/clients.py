"""The providers' own clients, each behind one way to ask: messages in, what was said and its tokens out.

The only place that imports openai and anthropic, and only when a client is opened. Retries (429, 5xx, lost
connections, with growing pauses or as the endpoint says) are the clients' own.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from engine.core.errors import EngineError
from engine.lm.remote.asking import Ask, Messages
from engine.lm.remote.bounded import in_bounds
from engine.lm.remote.endpoint import Endpoint, Said
from engine.lm.remote.faults import hidden, worded
from engine.lm.remote.prices import tokens_about
from engine.lm.remote.reach import reaching


@asynccontextmanager
async def opened(
    endpoint: Endpoint, key: str, *, timeout_seconds: float = 60.0, retries: int = 4
) -> AsyncIterator[Ask]:
    """Yield the way to ask an endpoint; it raises EngineError where it gets no reply.

    Neither what is said nor an error holds the key, even where the endpoint repeats it.
    """
    opener = {"openai-compatible": _openai, "anthropic": _anthropic}[endpoint.provider]
    async with reaching(endpoint, key, timeout_seconds) as http, opener(endpoint, key, http, retries) as ask:

        async def ask_hiding(messages: Messages) -> Said:
            said = await ask(messages)
            return replace(said, text=hidden(said.text, key), ended_by=hidden(said.ended_by, key))

        yield in_bounds(ask_hiding, endpoint)


@asynccontextmanager
async def _openai(endpoint: Endpoint, key: str, http: Any, retries: int) -> AsyncIterator[Ask]:
    from openai import AsyncOpenAI, Omit, OpenAIError

    # OpenAI's newer models take the new name only; servers of its kind often know the old one only.
    longest = "max_completion_tokens" if endpoint.base_url is None else "max_tokens"
    # Whose account it is, as the environment says, is the vendor's business alone.
    whose = ("OpenAI-Organization", "OpenAI-Project")
    unnamed: Any = {} if endpoint.base_url is None else dict.fromkeys(whose, Omit())
    settings: dict[str, Any] = {longest: endpoint.max_output_tokens, **_temperature(endpoint)}
    async with AsyncOpenAI(
        api_key=key,
        base_url=endpoint.url,
        timeout=http.timeout,
        max_retries=retries,
        http_client=http,
        default_headers=unnamed,
    ) as client:

        async def ask(messages: Messages) -> Said:
            began, sent = time.perf_counter(), [dict(message) for message in messages]
            try:
                made: Any = await client.chat.completions.create(
                    model=endpoint.model,
                    messages=sent,  # type: ignore[arg-type]
                    **settings,
                )
            except OpenAIError as error:
                raise worded(error, endpoint, key) from error
            if not getattr(made, "choices", None):
                raise _no_reply(endpoint)
            choice, usage = made.choices[0], made.usage
            text = str(choice.message.content or getattr(choice.message, "refusal", None) or "")
            return Said(
                text.strip(),
                usage.prompt_tokens if usage else tokens_about(sum(len(one["content"]) for one in messages)),
                usage.completion_tokens if usage else tokens_about(len(text)),
                time.perf_counter() - began,
                str(choice.finish_reason or "stop"),
            )

        yield ask


@asynccontextmanager
async def _anthropic(endpoint: Endpoint, key: str, http: Any, retries: int) -> AsyncIterator[Ask]:
    from anthropic import AnthropicError, AsyncAnthropic

    async with AsyncAnthropic(
        api_key=key, base_url=endpoint.url, timeout=http.timeout, max_retries=retries, http_client=http
    ) as client:

        async def ask(messages: Messages) -> Said:
            began = time.perf_counter()
            system = "\n".join(message["content"] for message in messages if message["role"] == "system")
            said = [dict(message) for message in messages if message["role"] != "system"]
            try:
                made: Any = await client.messages.create(
                    model=endpoint.model,
                    max_tokens=endpoint.max_output_tokens,
                    system=system,
                    messages=said,  # type: ignore[arg-type]
                    extra_body=_temperature(endpoint),  # the client has no name for it any more
                )
            except AnthropicError as error:
                raise worded(error, endpoint, key) from error
            if getattr(made, "content", None) is None:
                raise _no_reply(endpoint)
            text = "".join(block.text for block in made.content if block.type == "text")
            ended_by = {"end_turn": "stop", "max_tokens": "length"}.get(made.stop_reason, made.stop_reason)
            return Said(
                text.strip(),
                made.usage.input_tokens,
                made.usage.output_tokens,
                time.perf_counter() - began,
                str(ended_by or "stop"),
            )

        yield ask


def _temperature(endpoint: Endpoint) -> dict[str, float]:
    return {} if endpoint.temperature is None else {"temperature": endpoint.temperature}


def _no_reply(endpoint: Endpoint) -> EngineError:
    return EngineError(
        f"{endpoint.url} answered with something that is no reply.",
        f"Check that it speaks the {endpoint.provider} protocol, and the path of base_url (often /v1).",
    )
