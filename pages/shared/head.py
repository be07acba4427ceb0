"""What every page of the app has in its head, before any script of Streamlit's: scripts and the style.

Owns that layer of the server and nothing of what they do. Only there are they in time: the first address that
a page writes, and its first drawing, may come before anything of the page's own. Streamlit fetches the code
of each kind of part when one is first drawn, and until then a low gray bar stands there, so that all below
moves when it comes: the code of what our pages are made of is asked for with the page. So is the font of the
icons, each of which is a long word until it has come.
"""

import json
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HERE = Path(__file__).resolve().parent
_FILES = (
    ("going_back.js", "script"),
    ("menu_place.js", "script"),
    ("table_keys.js", "script"),
    ("narrow.js", "script"),
    ("head.css", "style"),
)
# As Streamlit's own files are named.
# fmt: off
PARTS = [
    "BidiComponent", "Button", "ButtonGroup", "Checkbox", "DownloadButton", "Html", "Metric", "Multiselect",
    "NumberInput", "PageLink", "Pagination", "Progress", "Selectbox", "Slider", "TextArea", "TextInput",
    "ArrowVegaLiteChart", "DataFrame",
]
# fmt: on
ICONS = "MaterialSymbols-Rounded"
_HEAD = b"<head>"


def code_of_parts() -> list[str]:
    """Return the files that Streamlit keeps the code of PARTS in; those it has not are left out."""
    return [name for part in PARTS for name in _held("js", f"{part}.*.js")]


def font_of_icons() -> list[str]:
    """Return the file that Streamlit keeps the font of its icons in; none where it has none."""
    return _held("media", f"{ICONS}.*.woff2")


def _held(folder: str, pattern: str) -> list[str]:
    held = Path(streamlit.__file__).parent / "static" / "static" / folder
    return [found.name for found in sorted(held.glob(pattern))[:1]]


def _tags() -> bytes:
    written = [f"<{tag}>{(_HERE / name).read_text(encoding='utf-8')}</{tag}>" for name, tag in _FILES]
    font = '<link rel="preload" as="font" type="font/woff2" crossorigin href="./static/media/%s">'
    written += [font % name for name in font_of_icons()]
    asked = "for (const part of %s) import(`./static/js/${part}`).catch(() => {});"
    written.append(f'<script type="module">{asked % json.dumps(code_of_parts())}</script>')
    return "".join(written).encode()


_TAGS = _tags()


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
