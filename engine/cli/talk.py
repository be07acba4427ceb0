"""The command that lets one variant answer: generate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, out, pairs
from engine.errors import EngineError, unknown_name


@command(
    "generate",
    examples=(
        'generate --persona p001 --variant unified "It is too dark in here."',
        'generate --persona p001 --variant base --meta time_of_day=evening "Good night."',
    ),
)
@click.option("--persona", "persona_id", required=True, help="Who speaks.")
@click.option("--variant", required=True, help="Which variant answers.")
@click.option(
    "--meta",
    "circumstances",
    multiple=True,
    metavar="KEY=VALUE",
    help="A circumstance, such as weather=rain.",
)
@click.argument("message")
def generate(
    call: Call, *, persona_id: str, variant: str, circumstances: tuple[str, ...], message: str
) -> int:
    """Let a variant answer a message of a persona."""
    call.ws.read_config()
    if not message.strip():
        raise EngineError(
            "The message is empty.", 'Example: generate --persona p001 --variant base "Lights on."'
        )
    meta = pairs(circumstances, option="--meta", example="weather=rain")
    recipe = _recipe(call, variant)
    from engine.lm.respond import respond  # loads the model code, so it comes after every other check

    answer = respond(call.ws, persona_id=persona_id, recipe=recipe, message=message, meta=meta)
    call.answer(json.loads(json.dumps(answer)), lambda: out().print(Text(answer["reply"])))
    return 0


def _recipe(call: Call, name: str) -> Mapping[str, Any]:
    from engine.store import variants
    from engine.variants import resolve

    known = variants(call.ws)
    found = resolve(name, known)
    if found is None:
        raise unknown_name("variant", name, [one.variant for one in known])
    return found.recipe


COMMANDS = (generate,)
