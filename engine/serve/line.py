"""The line between client and generator: a Unix-domain socket, one JSON object a line each way.

Owns addresses and framing. A socket's address may have 107 bytes only, and a workspace may lie deeper: the
folder is opened and the address goes through /proc/self/fd.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOST_BYTES = 4_000_000


@contextmanager
def address(path: Path) -> Iterator[str]:
    """Give an address of the socket `path` that is short enough, for the block."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Return a listening socket at `path`, for its owner only; one left by a dead process is replaced.

    Raises OSError where the file system knows no sockets.
    """
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address(path) as where:
            made.bind(where)
        path.chmod(0o600)
        made.listen(64)
    except OSError:
        made.close()
        raise
    return made


def request(path: Path, what: Mapping[str, Any], *, timeout_seconds: float) -> dict[str, Any]:
    """Send one request and return its answer. Raises OSError when nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_seconds)
        with address(path) as where:
            line.connect(where)
        line.sendall(packed(what))
        with line.makefile("rb") as answers:
            return unpacked(answers.readline(MOST_BYTES))


def packed(value: Mapping[str, Any]) -> bytes:
    """Return a JSON object as one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"


def unpacked(line: bytes) -> dict[str, Any]:
    """Return the object of one line. Raises ConnectionError when the line is not whole."""
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ConnectionError("the other side hung up") from error
    if not isinstance(value, dict):
        raise ConnectionError("the other side speaks otherwise")
    return value
