"""The way to one endpoint and to nowhere else: what its name stands for is looked at once, and held to.

A name that stands for an address of this machine or its network is refused where the owner's permit does not
say so, and a name cannot mean another address later (DNS rebinding). No redirect is followed. Where the
environment names a proxy, the proxy looks the name up, and is trusted with that.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import getproxies, proxy_bypass

from engine.core.errors import EngineError
from engine.core.permits import VARIABLE, Permit, host_of, is_private, port_of, split_address
from engine.lm.remote.bounded import HEADERS, no_larger
from engine.lm.remote.endpoint import Endpoint
from engine.lm.remote.keys import NO_KEY, required_permit

_SECONDS_TO_LOOK_UP = 20.0


@asynccontextmanager
async def reaching(endpoint: Endpoint, key: str, timeout_seconds: float) -> AsyncIterator[Any]:
    """Yield an httpx2 client that reaches this endpoint's host and port alone.

    Raises EngineError, with nothing sent, where the owner has not allowed the address or what it stands for.
    """
    import httpx2

    permit, proxied = required_permit(endpoint), _has_proxy(endpoint)
    found = await _looked_up(endpoint, permit, must=not proxied)
    _refuse_private(endpoint, permit, found)
    _refuse_open_http(endpoint, key, found)

    async def stay(request: httpx2.Request) -> None:
        if (request.url.host.rstrip("."), request.url.port or _port(request.url.scheme)) != (
            permit.host,
            permit.port,
        ):
            raise httpx2.RequestError(f"{request.url.host} is not the endpoint.", request=request)

    class Pinned(httpx2.AsyncHTTPTransport):
        """Connects to the addresses that were looked at; the certificate is still that of the name."""

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            for last, address in zip([*[False] * (len(found) - 1), True], found, strict=True):
                named = {} if request.url.host == address else {"sni_hostname": request.url.host}
                pinned = httpx2.Request(
                    request.method,
                    request.url.copy_with(host=address),
                    headers=request.headers,
                    stream=request.stream,
                    extensions={**request.extensions, **named},
                )
                try:
                    return await super().handle_async_request(pinned)
                except httpx2.ConnectError:
                    if last:
                        raise
            raise AssertionError("no address")

    async with httpx2.AsyncClient(
        transport=None if proxied else Pinned(),
        timeout=timeout_seconds,
        follow_redirects=False,
        event_hooks={"request": [stay], "response": [no_larger]},
        headers=HEADERS,
    ) as client:
        yield client


def _has_proxy(endpoint: Endpoint) -> bool:
    """Say whether requests to the endpoint go through a proxy that the environment names."""
    parts, proxies = split_address(endpoint.url), getproxies()
    return bool(proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(host_of(parts))


async def _looked_up(endpoint: Endpoint, permit: Permit, *, must: bool) -> Sequence[str]:
    """Return the addresses that the host stands for; none where only a proxy may know them."""
    look = asyncio.get_running_loop().getaddrinfo(permit.host, permit.port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.wait_for(look, _SECONDS_TO_LOOK_UP)
    except (OSError, TimeoutError, UnicodeError) as error:
        if not must:
            return ()
        raise EngineError(
            f"{endpoint.url} cannot be reached: looking its name up failed ({error or 'no answer in time'}).",
            "Check base_url and the network, then resume the run: the replies it has are kept.",
        ) from error
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


def _refuse_private(endpoint: Endpoint, permit: Permit, found: Sequence[str]) -> None:
    inside = [one for one in found if _is_inside(one)]
    if inside and not permit.private:
        raise EngineError(
            f"{endpoint.host} stands for {inside[0]}, an address of this machine or its network: nothing is "
            "sent there.",
            f"The owner allows it: python -m engine keys allow {permit.address} --private, or by {VARIABLE}.",
        )


def _refuse_open_http(endpoint: Endpoint, key: str, found: Sequence[str]) -> None:
    """Refuse a key over http, unless every address is known to be inside."""
    inside = bool(found) and all(map(_is_inside, found))
    if split_address(endpoint.url).scheme == "http" and key != NO_KEY and not inside:
        raise EngineError(
            f"{endpoint.host} would get its key over http, where everybody on the way can read it.",
            "Give the address with https://",
        )


def _is_inside(address: str) -> bool:
    return is_private(ipaddress.ip_address(address.partition("%")[0]))


def _port(scheme: str) -> int:
    return port_of(split_address(f"{scheme}://any"))
