"""What every page of the app has in its head, before any script of Streamlit's: two scripts and the style.

Owns that layer of the server and nothing of what they do. Only there are they in time: the first address that
a page writes, and its first drawing, may come before anything of the page's own.
"""

from __future__ import annotations

from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HERE = Path(__file__).resolve().parent
_FILES = (("going_back.js", "script"), ("menu_place.js", "script"), ("head.css", "style"))
_HEAD = b"<head>"
_TAGS = "".join(
    f"<{tag}>{(_HERE / name).read_text(encoding='utf-8')}</{tag}>" for name, tag in _FILES
).encode()


class Head:
    """A layer of the server (ASGI) that puts them into each HTML page, for who asks for one.

    What is packed holds no place for them, so a page goes out unpacked: it is 10 kB.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers(scope=scope) if scope["type"] == "http" else {}
        if scope["type"] != "http" or scope["method"] != "GET" or "text/html" not in asked.get("accept", ""):
            await self.app(scope, receive, send)
            return
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        held: list[Message] = []  # the start of an HTML answer, until its body is whole
        body = bytearray()

        async def with_tags(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_page(message):
                held.append(message)
                return
            if not held or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                whole = bytes(body).replace(_HEAD, _HEAD + _TAGS, 1)
                headers = MutableHeaders(scope=held[0])
                headers["content-length"] = str(len(whole))
                for name in ("etag", "last-modified"):  # those are the file's, without what is put in
                    del headers[name]
                await send(held[0])
                await send({"type": "http.response.body", "body": whole})

        await self.app({**scope, "headers": plain}, receive, with_tags)


def _is_page(start: Message) -> bool:
    headers = MutableHeaders(scope=start)
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers
