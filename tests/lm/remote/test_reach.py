"""The way to an endpoint leads there alone: no redirect, no other address behind its name, no second look-up.

Names are looked up by a resolver of the test's, since which server answers for a name is decided elsewhere;
the servers are real.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.core.errors import EngineError
from engine.lm.remote.asking import finished
from engine.lm.remote.clients import opened
from engine.lm.remote.endpoint import Endpoint, Provider, Said
from engine.lm.remote.keys import NO_KEY
from tests.lm.remote import endpoints

KEY = "sk-a-planted-key"
ASKED = [{"role": "user", "content": "Lights on."}]
PROVIDERS: tuple[Provider, ...] = ("openai-compatible", "anthropic")
OUTSIDE = "93.184.215.14"
Names = Callable[..., list[str]]


@pytest.fixture
def server() -> Iterator[endpoints.Endpoint]:
    with endpoints.serving() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Return a function that says what a name stands for from now on; it returns the list of look-ups."""
    known: dict[str, tuple[str, ...]] = {}
    asked: list[str] = []
    real = socket.getaddrinfo

    def look(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **kwargs)
        asked.append(host)
        if not known[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        kinds = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(kinds[":" in one], socket.SOCK_STREAM, 6, "", (one, port)) for one in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look)

    def stands_for(name: str, *addresses: str) -> list[str]:
        known[name] = addresses
        return asked

    return stands_for


def ask(
    endpoint: Endpoint, key: str = KEY, *, times: int = 1, between: Callable[[], Any] = int
) -> list[Said]:
    async def several() -> list[Said]:
        said = []
        async with opened(endpoint, key, retries=0) as send:
            for _ in range(times):
                said.append(await send(ASKED))
                between()
        return said

    return finished(several())


def refusal(endpoint: Endpoint, key: str = KEY) -> EngineError:
    with pytest.raises(EngineError) as caught:
        ask(endpoint, key)
    assert KEY not in str(caught.value)
    return caught.value


def port_of(server: endpoints.Endpoint) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("place", ["another host", "the same host"])
def test_a_redirect_is_not_followed(
    server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch, provider: Provider, place: str
) -> None:
    with endpoints.serving() as other:
        monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", f"{server.url}=OPENAI_API_KEY")
        server.moved_to = f"{other.url}/v1" if place == "another host" else f"{server.url}/v1/elsewhere"
        error = refusal(Endpoint(provider, "a-model", f"{server.url}/v1"))
        assert "redirects to 127.0.0.1, and redirects are not followed" in error.message
        assert other.requests == []
        assert len(server.requests) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        (OUTSIDE, "127.0.0.1"),
        ("10.1.2.3",),
        ("169.254.169.254",),
        ("100.64.0.1",),
        ("::1",),
        ("fe80::1%eth0",),
        ("fd00::1",),
        ("::ffff:127.0.0.1",),
        ("64:ff9b::7f00:1",),
        ("2002:7f00:1::",),
        ("0.0.0.0",),
    ],
)
def test_a_name_that_stands_for_an_inner_address_is_refused(
    server: endpoints.Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    resolver: Names,
    provider: Provider,
    addresses: tuple[str, ...],
) -> None:
    resolver("models.example", *addresses)
    address = f"https://models.example:{port_of(server)}"
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", f"{address}=OPENAI_API_KEY")
    error = refusal(Endpoint(provider, "a-model", address))
    assert "an address of this machine or its network: nothing is sent there" in error.message
    assert "--private" in error.hint
    assert server.requests == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_with_the_owners_consent_it_is_asked_and_a_name_cannot_mean_another_address_later(
    server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch, resolver: Names, provider: Provider
) -> None:
    with endpoints.serving() as other:
        asked = resolver("models.example", "127.0.0.1")
        address = f"http://models.example:{port_of(server)}"
        monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", f"{address}+private=OPENAI_API_KEY")
        said = ask(
            Endpoint(provider, "a-model", f"{address}/v1" if provider == "openai-compatible" else address),
            times=3,
            between=lambda: resolver("models.example", "127.0.0.99"),
        )
        assert [one.text for one in said] == ["You said: Lights on."] * 3
        assert asked == ["models.example"]
        assert [one["host"] for one in server.headers] == [urlsplit(address).netloc] * 3
        assert other.requests == []


def test_the_next_address_is_tried_where_nobody_listens_at_the_first(
    server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch, resolver: Names
) -> None:
    resolver("models.example", "127.0.0.77", "127.0.0.1")
    address = f"http://models.example:{port_of(server)}"
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", f"{address}+private")
    assert ask(Endpoint("openai-compatible", "a-model", f"{address}/v1"), NO_KEY)


def test_a_key_that_would_leave_over_http_is_refused(
    monkeypatch: pytest.MonkeyPatch, resolver: Names
) -> None:
    resolver("models.example", OUTSIDE)
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", "http://models.example+private=OPENAI_API_KEY")
    error = refusal(Endpoint("openai-compatible", "a-model", "http://models.example/v1"))
    assert "over http" in error.message


def test_an_address_without_a_permit_is_not_even_looked_up(
    monkeypatch: pytest.MonkeyPatch, resolver: Names
) -> None:
    monkeypatch.delenv("PERSONA_LAB_ENDPOINTS", raising=False)
    asked = resolver("evil.example", OUTSIDE)
    assert "has not allowed" in refusal(Endpoint("anthropic", "m", "https://evil.example")).message
    assert asked == []


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, resolver: Names) -> None:
    resolver("models.example")
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", "models.example")
    error = refusal(Endpoint("anthropic", "m", "https://models.example"))
    assert "looking its name up failed" in error.message


def test_the_owners_proxy_looks_names_up_itself(
    server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch, resolver: Names
) -> None:
    resolver("models.example")
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", "http://models.example")
    monkeypatch.setenv("http_proxy", server.url)
    (said,) = ask(Endpoint("openai-compatible", "a-model", "http://models.example/v1"), NO_KEY)
    assert said.text == "You said: Lights on."
    assert server.headers[0]["host"] == "models.example"


def test_whose_account_it_is_stays_with_the_vendor(
    server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", server.url)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-ours")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-ours")
    ask(Endpoint("openai-compatible", "a-model", server.openai), NO_KEY)
    assert "of-ours" not in str(server.headers)
