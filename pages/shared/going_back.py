"""What a press of Back leads to: gives every page of the app going_back.js, before any script of Streamlit's.

Owns that layer of the server and nothing of what the script does. Only there is it in time: the first address
that a page writes may reach the browser before anything of the page is drawn.
"""

from __future__ import annotations

from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SCRIPT = Path(__file__).with_name("going_back.js").read_text(encoding="utf-8")
_HEAD = b"<head>"
_TAG = f"<script>{_SCRIPT}</script>".encode()


class GoingBack:
    """A layer of the server (ASGI) that puts the script into each HTML page, for who asks for one.

    What is packed holds no place for it, so a page goes out unpacked: it is 6 kB.
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

        async def with_script(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_page(message):
                held.append(message)
                return
            if not held or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                whole = bytes(body).replace(_HEAD, _HEAD + _TAG, 1)
                headers = MutableHeaders(scope=held[0])
                headers["content-length"] = str(len(whole))
                for name in ("etag", "last-modified"):  # those are the file's, without the script
                    del headers[name]
                await send(held[0])
                await send({"type": "http.response.body", "body": whole})

        await self.app({**scope, "headers": plain}, receive, with_script)


def _is_page(start: Message) -> bool:
    headers = MutableHeaders(scope=start)
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers
