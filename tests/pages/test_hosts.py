"""A started server, asked over raw sockets under every kind of name: it answers under its own alone."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.core.paths import REPOSITORY
from pages.shared.hosts import HEADERS, LOCAL, is_allowed
from tests.ports import free_port

PATHS = ("/", "/data", "/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/media/x", "/static/x")
CLOSE = "Connection: close\r\n"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: streamlit\r\n"
)
OTHERS = (
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "localhost@evil.example",
    "192.0.2.7",
)


@contextmanager
def server(folder: Path, **environment: str) -> Iterator[int]:
    """Start the app as `make run` does; give its port."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    known = {**os.environ, "PERSONA_LAB_WORKSPACE": str(folder / "study"), **environment}
    with (folder / "app.log").open("wb") as log:
        app = subprocess.Popen(
            command, cwd=REPOSITORY, env=known, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _wait_until_it_listens(port)
            yield port
        finally:
            app.terminate()
            app.wait(timeout=240)


def _wait_until_it_listens(port: int) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the app did not start")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with server(tmp_path_factory.mktemp("hosts")) as found:
        yield found


def asked(port: int, request: str) -> str:
    """Send a request as it stands; return the answer, of an open websocket its head."""
    with socket.create_connection(("127.0.0.1", port), timeout=400) as line, line.makefile("rb") as answer:
        line.sendall(request.encode())
        first = answer.readline()
        rest = b"" if b" 101 " in first else answer.read()
        return (first + rest).decode(errors="replace")


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


@pytest.mark.parametrize("host", OTHERS)
def test_under_another_name_nothing_is_served(port: int, host: str) -> None:
    host = host.format(port=port)
    for path in PATHS:
        answer = asked(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{CLOSE}\r\n")
        assert status(answer) == 403, path
        assert "server.allowedHosts" in answer
        assert "evil" not in answer
    for verb in ("PUT", "POST", "DELETE"):
        path = "/_stcore/upload_file/session/file"
        assert (
            status(asked(port, f"{verb} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n{CLOSE}\r\n"))
            == 403
        )
    for origin in (f"Origin: http://{host}\r\n", f"Origin: http://localhost:{port}\r\n", ""):
        assert (
            status(asked(port, f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\n{origin}{UPGRADE}\r\n"))
            == 403
        )


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST", "localhost."]
)
def test_under_its_own_names_everything_is_served(port: int, host: str) -> None:
    host = host.format(port=port)
    for path in ("/", "/data", "/_stcore/health", "/_stcore/host-config"):
        assert status(asked(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{CLOSE}\r\n")) == 200, path
    request = f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n{UPGRADE}\r\n"
    assert status(asked(port, request)) == 101


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost.evil.example:8501"])
def test_a_page_from_elsewhere_opens_no_websocket_and_uploads_nothing(port: int, origin: str) -> None:
    told = f"Host: localhost:{port}\r\nOrigin: {origin}\r\n"
    assert status(asked(port, f"GET /_stcore/stream HTTP/1.1\r\n{told}{UPGRADE}\r\n")) == 403
    put = f"PUT /_stcore/upload_file/session/file HTTP/1.1\r\n{told}Content-Length: 0\r\n{CLOSE}\r\n"
    assert status(asked(port, put)) == 403


@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: \r\n"])
def test_no_name_and_two_names_are_refused(port: int, hosts: str) -> None:
    assert status(asked(port, f"GET / HTTP/1.1\r\n{hosts}{CLOSE}\r\n")) in (400, 403)


@pytest.mark.parametrize("path", [*PATHS, "/nowhere/at/all"])
def test_every_answer_refuses_framing_and_guessing(port: int, path: str) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=400)
    line.request("GET", path)
    headers = {name.lower(): value for name, value in line.getresponse().getheaders()}
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_owner_can_give_the_app_another_name(tmp_path: Path) -> None:
    with server(tmp_path, STREAMLIT_SERVER_ALLOWED_HOSTS="lab.example") as port:
        assert status(asked(port, f"GET / HTTP/1.1\r\nHost: lab.example\r\n{CLOSE}\r\n")) == 200
        assert status(asked(port, f"GET / HTTP/1.1\r\nHost: evil.example\r\n{CLOSE}\r\n")) == 403


@pytest.mark.parametrize(
    ("name", "allowed", "answered"),
    [
        ("localhost:8501", LOCAL, True),
        ("[::1]:8501", LOCAL, True),
        ("::1", LOCAL, False),
        ("localhost:port", LOCAL, False),
        ("localhost:99999", LOCAL, False),
        ("localhost/evil.example", LOCAL, False),
        ("localhost?@evil.example", LOCAL, False),
        ("", LOCAL, False),
        ("a.lab.example", ("*.lab.example",), True),
        ("alab.example", ("*.lab.example",), False),
        ("lab.example", ("*.lab.example",), False),
        ("Lab.Example:443", ("lab.example",), True),
        ("any.example", ("*",), True),
        ("[2001:db8::1]:80", ("[2001:db8::1]",), True),
    ],
)
def test_which_names_are_allowed(name: str, allowed: tuple[str, ...], answered: bool) -> None:
    assert is_allowed(name, allowed) is answered
