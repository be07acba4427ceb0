"""The process behind an OpenAI-compatible address: `python -m engine.serve.openai_server`, or `serve`.

Owns the socket, the loaded base and the server's end. Binds before it loads, so that a taken port is said at
once. Works on the processor alone: the accelerator belongs to the runs.
"""

import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.core import keyring
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.results import store
from engine.results.variants import Variant, resolve
from engine.serve.conversation import can_answer
from engine.serve.published import LOCAL, Served, published

_END_SECONDS = 5
"""How long its end waits for replies that are on their way, and for callers who say no more."""


def offered(ws: Workspace, names: Sequence[str]) -> tuple[list[Variant], list[Variant]]:
    """Return the variants of these names, and all that the workspace has.

    Raises EngineError for an unknown one and for one that no model answers for.
    """
    known = store.variants(ws)
    able = [one.variant for one in known if can_answer(one)]
    chosen = []
    for name in names:
        found = resolve(name, known)
        if found is None:
            raise unknown_name("variant", name, able)
        if not can_answer(found):
            raise EngineError(
                f"{found.variant} is no model's answer, so it cannot be served.",
                f"These can: {', '.join(able)}." if able else "Run an experiment first.",
            )
        chosen.append(found)
    return chosen, known


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. Raises EngineError where port or name cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ear = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio delays replies
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        ear.bind((host, port))
    except OSError as error:
        ear.close()
        raise EngineError(
            f"{host}:{port} cannot be listened at: {error.strerror or error}.", "Choose another --port."
        ) from error
    return ear


def serve(
    ws: Workspace,
    names: Sequence[str],
    *,
    host: str,
    port: int,
    token_hash: str,
    ready: Callable[[str], None],
) -> None:
    """Answer at host:port until SIGTERM or Ctrl-C; `ready` gets the address once requests are heard."""
    chosen, known = offered(ws, names)
    ear = listen(host, port)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before any model code is loaded
    import uvicorn

    from engine.core.base_identity import base_of
    from engine.lm.load import load_base
    from engine.serve.answering import Stage
    from engine.serve.batching import Batcher
    from engine.serve.openai_api import Cast, application

    stage = Stage(ws, load_base(base_of(ws).name))
    bound = ear.getsockname()
    name = "localhost" if host == LOCAL else f"[{host}]" if ":" in host else host
    address = f"http://{name}:{bound[1]}/v1"
    with Batcher(stage) as batcher:
        app = application(Cast(stage, chosen, known), batcher, token_hash)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=_END_SECONDS
        )
        server = uvicorn.Server(config)
        ear.listen(128)
        ready(address)
        server.run(sockets=[ear])


if __name__ == "__main__":
    keyring.receive()
    root, where, at, known_by, *wanted = sys.argv[1:]
    workspace = Workspace(Path(root))
    try:
        serve(
            workspace,
            wanted,
            host=where,
            port=int(at),
            token_hash=known_by,
            ready=lambda address: published(workspace).write(Served.here(address, tuple(wanted))),
        )
    except EngineError as error:
        print(error.message, error.hint or "")
        sys.exit(1)
