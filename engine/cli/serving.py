"""Commands that take the study's winner elsewhere: serve, export, push."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.ending import until_told
from engine.cli.frame import Call, Place, command, err, out
from engine.core.errors import EngineError
from engine.core.limits import megabytes
from engine.core.roles import refuse_unless
from engine.core.wording import count, listed
from engine.runs.leases import free_card
from engine.serve.published import LOCAL, PORT

if TYPE_CHECKING:
    from engine.serve.push import Parcel

_TOKEN = "PERSONA_LAB_SERVE_TOKEN"


@command(
    "serve", examples=("serve hybrid", "serve hybrid unified --port 8400", "serve hybrid --host 0.0.0.0")
)
@click.argument("variants", nargs=-1, required=True)
@click.option("--host", default=LOCAL, show_default=True, help="The name or number to listen at.")
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."
)
def serve(call: Call, *, variants: tuple[str, ...], host: str, port: int) -> None:
    """Answer at an OpenAI-compatible address until Ctrl-C: by VARIANTS, for the persona named as the user.

    The token that requests need is printed once; PERSONA_LAB_SERVE_TOKEN sets it.
    """
    from engine.serve import openai_server
    from engine.serve.published import hash_of_token, new_token

    given = os.environ.get(_TOKEN, "")
    if given and len(given) < 16:
        raise EngineError(f"{_TOKEN} is too short to keep anybody out.", "Give it 16 characters or more.")
    token = given or new_token()
    if host not in (LOCAL, "::1", "localhost"):
        err().print(f"Whoever reaches {host} and has the token can ask. Put TLS in front of it on a network.")

    def ready(address: str) -> None:
        told = {"address": address, "variants": list(variants), "token": None if given else token}
        call.answer(told, lambda: _show(address, variants, None if given else token))

    with until_told():
        openai_server.serve(
            call.ws, variants, host=host, port=port, token_hash=hash_of_token(token), ready=ready
        )


def _show(address: str, variants: Sequence[str], token: str | None) -> None:
    out().print(f"{listed(variants)} {'answers' if len(variants) == 1 else 'answer'} at {address}")
    if token is not None:
        out().print(f"Token (shown once): {token}")
    out().print("Ctrl-C ends it.")


_merged = click.option("--merged", metavar="PERSONA", help="Write this persona's whole model too.")
_gguf = click.option("--gguf", is_flag=True, help="And that as one GGUF file, by llama.cpp's converter.")


@command(
    "export",
    examples=(
        "export hybrid hybrid-adapters",
        "export unified unified-adapter --merged p001",
        "export unified unified-adapter --merged p001 --gguf",
    ),
)
@click.argument("variant")
@click.argument("folder", type=Place())
@_merged
@_gguf
def export(call: Call, *, variant: str, folder: Path, merged: str | None, gguf: bool) -> int:
    """Write VARIANT into the new FOLDER: PEFT adapters, a card with its scores, recipe and prompts."""
    from engine.serve.openai_server import offered

    ((chosen,), _) = offered(call.ws, [variant])
    with free_card("export"):
        from engine.serve.export import export as write  # loads the model code

        made = write(call.ws, chosen, folder, merged=merged, gguf=gguf)
    told = {
        "folder": str(made.folder),
        "personas": dict(made.personas),
        "merged": str(made.merged) if made.merged else None,
        "gguf": str(made.gguf) if made.gguf else None,
    }
    apart = len({home for home in made.personas.values() if home})

    def show() -> None:
        out().print(f"{chosen.variant}: {count(apart, 'adapter')} for {count(len(made.personas), 'persona')}")
        out().print(f"Card: {made.folder / 'README.md'}")

    return call.answer(told, show)


@command(
    "push",
    examples=(
        "push hybrid my-name/hybrid",
        "push hybrid my-name/hybrid --public",
        "push unified my-name/unified --merged p001 --yes",
    ),
)
@click.argument("variant")
@click.argument("repository")
@click.option("--public", is_flag=True, help="Let everybody read it; otherwise it is private.")
@_merged
@_gguf
@click.option("--yes", is_flag=True, help="Send it without asking.")
def push(
    call: Call, *, variant: str, repository: str, public: bool, merged: str | None, gguf: bool, yes: bool
) -> int:
    """Send VARIANT as `export` writes it to the Hugging Face Hub, into REPOSITORY (OWNER/NAME).

    What goes out and how large it is is shown first, and sent once you say so. The token is the one that
    `hf auth login` or HF_TOKEN gave this machine.
    """
    from engine.serve import push as hub

    refuse_unless("own", "send a variant to the Hub")
    to = hub.destination(repository, public=public)
    with tempfile.TemporaryDirectory(prefix="persona-lab-push-") as place:
        with free_card("push"):
            sent = hub.packed(call.ws, variant, place, merged=merged, gguf=gguf)
        _show_parcel(sent, f"{hub.words_of(to)}:", hub.HOLDS)
        if not yes and not (sys.stdin.isatty() and click.confirm("Send it?", err=True)):
            raise EngineError("Nothing was sent.", "Add --yes to send it.")
        at = hub.push(to, sent, message=f"{variant}, from Persona Lab")
    told = {
        "repository": to.repository,
        "address": to.address,
        "private": to.private,
        "files": dict(sent.files),
        "bytes": sent.size_bytes,
        "commit": at,
    }
    return call.answer(told, lambda: out().print(f"{variant} is at {to.address}"))


def _show_parcel(sent: "Parcel", to: str, holds: str) -> None:
    """Say on stderr what goes out, how much of it there is, where to, and whose it is."""
    shown = err()
    shown.print(f"{count(len(sent.files), 'file')}, {megabytes(sent.size_bytes)}, go to {to}")
    for name, files, size in sent.parts():
        shown.print(f"  {name:<16} {count(files, 'file'):>10}  {megabytes(size)}")
    shown.print(holds)
