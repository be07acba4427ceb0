"""Commands that take the study's winner elsewhere: serve, export."""

from __future__ import annotations

import os
from pathlib import Path

import click

from engine.cli.frame import Call, command, err, out
from engine.core.errors import EngineError
from engine.core.wording import count
from engine.serve.published import LOCAL, PORT

_TOKEN = "PERSONA_LAB_SERVE_TOKEN"


@command(
    "serve",
    examples=(
        "serve hybrid",
        "serve hybrid unified --port 8400",
        "serve hybrid --host 0.0.0.0",
    ),
)
@click.argument("variants", nargs=-1, required=True)
@click.option("--host", default=LOCAL, show_default=True, help="The name or number to listen at.")
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."
)
def serve(call: Call, *, variants: tuple[str, ...], host: str, port: int) -> int:
    """Answer at an OpenAI-compatible address until Ctrl-C: by VARIANTS, for the persona named as the user.

    The token that requests need is printed once; PERSONA_LAB_SERVE_TOKEN sets it.
    """
    from engine.serve import openai_server
    from engine.serve.published import hash_of_token, new_token

    call.ws.read_config()
    given = os.environ.get(_TOKEN, "")
    if given and len(given) < 16:
        raise EngineError(f"{_TOKEN} is too short to keep anybody out.", "Give it 16 characters or more.")
    token = given or new_token()
    if host not in (LOCAL, "::1", "localhost"):
        err().print(f"Whoever reaches {host} and has the token can ask. Put TLS in front of it on a network.")

    def ready(address: str) -> None:
        told = {"address": address, "variants": list(variants), "token": None if given else token}
        call.answer(told, lambda: _show(address, variants[0], None if given else token))

    openai_server.serve(
        call.ws,
        variants,
        host=host,
        port=port,
        token_hash=hash_of_token(token),
        ready=ready,
    )
    return 0


def _show(address: str, variant: str, token: str | None) -> None:
    out().print(f"{variant} answers at {address}")
    if token is not None:
        out().print(f"Token (shown once): {token}")
    out().print("Ctrl-C ends it.")


@command(
    "export",
    examples=(
        "export hybrid hybrid-adapters",
        "export unified unified-adapter --merged p001",
    ),
)
@click.argument("variant")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--merged", metavar="PERSONA", help="Write this persona's whole model too.")
def export(call: Call, *, variant: str, folder: Path, merged: str | None) -> int:
    """Write VARIANT into the new FOLDER: PEFT adapters, a card with its scores, recipe and prompts."""
    from engine.serve.openai_server import offered

    call.ws.read_config()
    ((chosen,), _) = offered(call.ws, [variant])
    from engine.serve.export import export as write  # loads the model code

    made = write(call.ws, chosen, folder, merged=merged)
    told = {
        "folder": str(made.folder),
        "personas": dict(made.personas),
        "merged": str(made.merged) if made.merged else None,
    }
    apart = len({home for home in made.personas.values() if home})

    def show() -> None:
        out().print(f"{chosen.variant}: {count(apart, 'adapter')} for {count(len(made.personas), 'persona')}")
        out().print(f"Card: {made.folder / 'README.md'}")

    call.answer(told, show)
    return 0


COMMANDS = (serve, export)
