"""The layer that gives pages scripts and style: HTML gets them once and whole, all else passes as it is."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pages.shared.head import ICONS, PARTS, Head, code_of_parts, font_of_icons


def answer(kind: str, *parts: bytes, method: str = "GET", **headers: str) -> tuple[dict[str, str], bytes]:
    """What a browser gets for an answer of this kind, sent in parts."""
    sent: list[dict[str, Any]] = []
    told = {"content-type": kind, "content-length": str(sum(map(len, parts))), "etag": "x", **headers}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert method != "GET" or b"accept-encoding" not in dict(scope["headers"])  # nothing comes packed
        raw = [(name.encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        for number, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": method, "path": "/"}
    scope["headers"] = [(b"accept", b"text/html,*/*"), (b"accept-encoding", b"gzip")]
    passing = Head(app)(scope, None, send)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as apart:  # a browser's tests leave a loop at work in this thread
        apart.submit(asyncio.run, passing).result()
    got = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return got, b"".join(one.get("body", b"") for one in sent[1:])


def test_a_page_gets_script_and_style_before_all_others() -> None:
    headers, body = answer(
        "text/html; charset=utf-8", b"<html><he", b"ad><script src=x></script></head></html>"
    )
    assert body.startswith(b"<html><head><script>//")
    assert body.count(b"history.pushState = ") == 1
    assert body.count(b"<style>") == 1
    assert body.endswith(b"</script><script src=x></script></head></html>")
    assert headers["content-length"] == str(len(body))
    assert "etag" not in headers


def test_the_code_of_every_part_and_the_icons_are_where_streamlit_keeps_them() -> None:
    assert [name.partition(".")[0] for name in code_of_parts()] == PARTS
    assert [name.partition(".")[0] for name in font_of_icons()] == [ICONS]


@pytest.mark.parametrize(
    ("kind", "method", "headers"),
    [
        ("text/javascript", "GET", {}),
        ("text/html", "HEAD", {}),
        ("text/html", "GET", {"content-encoding": "gzip"}),
    ],
)
def test_everything_else_passes_as_it_is(kind: str, method: str, headers: dict[str, str]) -> None:
    got, body = answer(kind, b"<head>", b"</head>", method=method, **headers)
    assert (body, got["content-length"], got["etag"]) == (b"<head></head>", "13", "x")
