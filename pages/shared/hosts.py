"""Whom the server answers, before Streamlit sees the request: pages, files, uploads and the websocket alike.

Owns the check of the names that a request gives (Host, and Origin where it can change something) and the
headers of every answer. The names are Streamlit's own setting `server.allowedHosts`; without it, those of
this machine. Another name gets a refusal that says so, and nothing else: a site elsewhere whose name was
made to lead here (DNS rebinding) reads nothing, opens no websocket and uploads nothing.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit import config

LOCAL = ("localhost", "127.0.0.1", "::1")
_READING = ("GET", "HEAD", "OPTIONS")
_REFUSED = (
    "This app does not answer under that name. Open it under the address that `make run` printed.\n"
    "To give it another name, its owner adds it to server.allowedHosts in .streamlit/config.toml, "
    "or to STREAMLIT_SERVER_ALLOWED_HOSTS.\n"
)
# Nothing frames the app, and whatever a text may smuggle in, no other server is asked for anything.
# Streamlit's own code builds styles, workers and chart expressions as it runs.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


_REFUSALS: dict[str, ASGIApp] = {
    "http": PlainTextResponse(_REFUSED, status_code=403),
    "websocket": WebSocketClose(),  # before it is open: 403
}


class Hosts:
    """The outermost layer of the server (ASGI): refuses strange names, adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        answer = self.app if answered(scope) else _REFUSALS[scope["type"]]

        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await answer(scope, receive, with_headers)


def answered(scope: Scope) -> bool:
    """Say whether a request names an allowed host, and where it can change something comes from one."""
    headers = Headers(scope=scope)
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or not is_allowed(hosts[0]):
        return False
    if scope["type"] == "http" and scope["method"] in _READING:
        return True
    own_pages = {origin.strip() for origin in config.get_option("server.corsAllowedOrigins")}
    return all(origin in own_pages or is_allowed(urlsplit(origin).netloc) for origin in origins)


def is_allowed(netloc: str, allowed: Iterable[str] | None = None) -> bool:
    """Say whether a name with or without a port is one of `allowed` (default: the setting's, else LOCAL).

    "*.lab.example" allows every name below it, "*" any name at all.
    """
    try:
        parts = urlsplit(f"//{netloc}")
        name, _ = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return False
    if not name or parts.netloc != netloc or "@" in netloc:
        return False
    names = [one.strip().strip("[]").lower() for one in allowed or allowed_hosts()]
    return any(one in ("*", name) or (one.startswith("*.") and name.endswith(one[1:])) for one in names)


def allowed_hosts() -> tuple[str, ...]:
    """Return the names the app answers under: those of server.allowedHosts, else this machine's own."""
    return tuple(config.get_option("server.allowedHosts")) or LOCAL
