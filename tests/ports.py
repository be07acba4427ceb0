"""Ports for the servers that tests start: each is handed out once, to one process of all that test here.

A port that the kernel names is free for a moment only: until the server asks for it, another one, or any
connection that goes out, may have been given it. These are of a range that the kernel gives nobody.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import BinaryIO

_RANGE = range(20_000, 32_000)  # Linux gives outgoing connections those from 32768 on, others from 49152 on
_held: list[BinaryIO] = []  # the kernel frees them with this process


def free_port() -> int:
    """Return a port of this machine that nobody listens on, and keep it from others that ask here."""
    folder = Path(tempfile.gettempdir()) / f"persona-lab-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for port in random.sample(_RANGE, len(_RANGE)):
        file = (folder / str(port)).open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.create_server(("127.0.0.1", port)):
                _held.append(file)
                return port
        except OSError:
            file.close()
    raise RuntimeError("every port is taken")
