"""A server that never stops sending: a real one, and the clients that ask it."""

from __future__ import annotations

import asyncio
import socketserver
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest

from engine.core.errors import EngineError
from engine.core.limits import SETTING
from engine.lm.remote.asking import finished
from engine.lm.remote.bounded import HEADERS, TooLarge, in_bounds, no_larger
from engine.lm.remote.endpoint import Endpoint, Said


@pytest.fixture
def endless() -> Iterator[str]:
    """An address whose answers do not end; /packed claims to be packed."""

    class Pour(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            packed = b"packed" in self.rfile.readline()
            head = b"HTTP/1.1 200 OK\r\n" + (b"content-encoding: gzip\r\n" if packed else b"") + b"\r\n"
            try:
                self.wfile.write(head)
                while True:
                    self.wfile.write(b"x" * 100_000)
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Pour) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


async def read(address: str) -> int:
    async with httpx2.AsyncClient(event_hooks={"response": [no_larger]}, headers=HEADERS) as client:
        return len((await client.get(address)).content)


def test_an_answer_without_end_is_read_to_the_limit(endless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "reply_bytes=1000000")
    with pytest.raises(TooLarge, match="larger than 1 MB") as caught:
        finished(asyncio.wait_for(read(endless), 20))
    assert "reply_bytes=2000000" in caught.value.hint


def test_a_packed_answer_is_not_unpacked(endless: str) -> None:
    with pytest.raises(TooLarge, match="packed its answer"):
        finished(asyncio.wait_for(read(f"{endless}/packed"), 20))


def test_who_asks_learns_why_an_answer_was_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(provider="openai-compatible", model="m", base_url="http://127.0.0.1:9/v1")

    async def too_large(_: object) -> Said:
        try:
            try:
                raise TooLarge("too large", "less")
            except TooLarge as inner:
                raise RuntimeError("the client's own") from inner
        except RuntimeError as middle:
            raise EngineError("cannot be reached") from middle

    async def silent(_: object) -> Said:
        await asyncio.sleep(600)
        raise AssertionError

    with pytest.raises(TooLarge, match="too large"):
        finished(in_bounds(too_large, endpoint)([]))
    monkeypatch.setenv(SETTING, "reply_seconds=1")
    began = time.monotonic()
    with pytest.raises(EngineError, match="no whole answer within 1 seconds"):
        finished(in_bounds(silent, endpoint)([]))
    assert time.monotonic() - began < 600
