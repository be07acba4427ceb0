"""The address at which a workspace's variants are served in the background: started, found again, stopped.

Owns data/serve/: who serves, what, and where. The token is shown once to whoever starts it and kept nowhere;
its hash is handed to the process. Loads no model.
"""

import hashlib
import os
import secrets
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.core.errors import EngineError
from engine.core.machine import changes
from engine.core.paths import Workspace
from engine.core.roles import refuse_unless
from engine.runs.background import Background
from engine.runs.processes import ProcessIdentity, identity, running

LOCAL = "127.0.0.1"
PORT = 8399


@dataclass(frozen=True, slots=True)
class Served:
    """Who serves which variants where; `address` is "" while it is starting."""

    process: ProcessIdentity | None
    address: str
    variants: tuple[str, ...]

    @classmethod
    def here(cls, address: str, variants: tuple[str, ...]) -> "Served":
        """Return what this process says of itself."""
        own = identity()
        assert own is not None
        return cls(own, address, variants)


def hash_of_token(token: str) -> str:
    """Return the sha256 of a token in hex: what the server keeps of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def published(ws: Workspace) -> Background:
    """Return the background process that serves a workspace's variants."""
    return Background(ws.data / "serve", "The server", "engine.serve.openai_server")


def new_token() -> str:
    """Return a fresh token."""
    return secrets.token_urlsafe(24)


@changes("serve a variant")
def start(ws: Workspace, names: Sequence[str], *, token_hash: str, host: str, port: int) -> Served:
    """Start serving in the background, in place of what was; EngineError when it ends at once."""
    refuse_unless("run", "serve a variant")
    stop(ws)
    server = published(ws)
    with server.lock():
        process = server.start(str(ws.root), host, str(port), token_hash, *names)
        if process is None:
            raise EngineError("The server ended at once.", f"Its last words are in {server.output}.")
        begun = Served(process, "", tuple(names))
        server.write(begun)
    return begun


def serving(ws: Workspace) -> Served | None:
    """Return who serves, None when nobody does."""
    found = published(ws).read(Served)
    return found if found is not None and running(found.process) else None


@changes("stop serving")
def stop(ws: Workspace) -> None:
    """End what is served; does nothing where nothing is."""
    refuse_unless("run", "stop serving")
    found = serving(ws)
    if found is not None and found.process is not None:
        with suppress(ProcessLookupError):
            os.kill(found.process.pid, signal.SIGTERM)
