"""The providers' own clients against real servers: what is sent, what comes back, and every way to fail."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.lm.remote.asking import finished
from engine.lm.remote.clients import opened
from engine.lm.remote.endpoint import Endpoint, Provider, Said
from tests.lm.remote import endpoints

KEY = "sk-a-key-that-must-not-be-seen"
ASKED = [
    {"role": "system", "content": "You are the assistant of a smart home."},
    {"role": "user", "content": "Lights on."},
]
PROVIDERS: tuple[Provider, ...] = ("openai-compatible", "anthropic")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[endpoints.Endpoint]:
    with endpoints.serving() as running:
        monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", f"{running.url}=OPENAI_API_KEY")
        yield running


def endpoint_at(server: endpoints.Endpoint, provider: Provider, **given: Any) -> Endpoint:
    url = server.openai if provider == "openai-compatible" else server.url
    return Endpoint(provider, "a-model", url, **{"max_output_tokens": 12, **given})


def ask(endpoint: Endpoint, **given: Any) -> Said:
    async def once() -> Said:
        async with opened(endpoint, KEY, **{"retries": 0, **given}) as send:
            return await send(ASKED)

    return finished(once())


def refusal(endpoint: Endpoint, **given: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        ask(endpoint, **given)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reply_with_its_tokens(server: endpoints.Endpoint, provider: Provider) -> None:
    said = ask(endpoint_at(server, provider))
    assert (said.text, said.prompt_tokens, said.reply_tokens) == ("You said: Lights on.", 10, 4)
    assert said.ended_by == "stop"
    (sent,) = server.requests
    assert (sent["model"], sent["max_tokens"], sent["temperature"]) == ("a-model", 12, 0.0)
    assert sent["messages"] == (ASKED if provider == "openai-compatible" else ASKED[1:])
    assert sent.get("system") == (None if provider == "openai-compatible" else ASKED[0]["content"])
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_a_key_that_an_endpoint_repeats_in_its_reply_is_hidden(server: endpoints.Endpoint) -> None:
    answer = endpoints.answer_of(f"I know {KEY}.")
    answer["choices"][0]["finish_reason"] = KEY
    server.always = (200, answer)
    said = ask(endpoint_at(server, "openai-compatible"))
    assert (said.text, said.ended_by) == ("I know [hidden].", "[hidden]")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_temperature_left_to_the_provider_is_not_sent(
    server: endpoints.Endpoint, provider: Provider
) -> None:
    ask(endpoint_at(server, provider, temperature=None))
    assert "temperature" not in server.requests[0]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_busy_and_failing_endpoints_are_asked_again(server: endpoints.Endpoint, provider: Provider) -> None:
    server.failing = [(429, {"error": {"message": "slow down"}}), (503, {"error": {"message": "later"}})]
    assert ask(endpoint_at(server, provider), retries=2).text == "You said: Lights on."
    assert len(server.requests) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "said", "told", "hint"),
    [
        (401, f"bad key {KEY}", "refuses the key", "_API_KEY"),
        (403, "not for you", "refuses the key", "_API_KEY"),
        (404, "no such model", "has no model 'a-model'", "base_url"),
        (400, "temperature is not supported", "refuses the request", "--set temperature=null"),
        (422, "too long", "refuses the request", "max_output_tokens"),
        (429, "quota", "still refuses more requests", "requests_per_minute"),
        (500, "oops", "fails (500)", "resume"),
    ],
)
def test_every_refusal_says_what_to_do(
    server: endpoints.Endpoint, provider: Provider, status: int, said: str, told: str, hint: str
) -> None:
    server.always = (status, {"error": {"message": said}})
    error = refusal(endpoint_at(server, provider))
    assert told in error.message
    assert said.replace(KEY, "[hidden]") in error.message
    assert hint in error.hint
    assert len(server.requests) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nobody_there(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # it is nobody else's, and nobody listens
        port = silent.getsockname()[1]
        monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", f"127.0.0.1:{port}")
        error = refusal(Endpoint(provider, "a-model", f"http://127.0.0.1:{port}/v1"))
    assert f"http://127.0.0.1:{port}/v1 cannot be reached" in error.message
    assert "Start the server" in error.hint


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_endpoint_that_takes_too_long(server: endpoints.Endpoint, provider: Provider) -> None:
    server.slow_seconds = 3.0
    error = refusal(endpoint_at(server, provider), timeout_seconds=0.1)
    assert "did not answer in time" in error.message
    assert "timeout_seconds" in error.hint


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_no_reply_is_said_to_be_none(server: endpoints.Endpoint, provider: Provider) -> None:
    server.always = (200, {"hello": "world"})
    assert "no reply" in refusal(endpoint_at(server, provider)).message
