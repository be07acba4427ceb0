"""The command that lets one variant answer: generate."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, out, pairs
from engine.core.errors import EngineError
from engine.core.plain import in_terminal
from engine.results.variants import Variant, resolved
from engine.runs.leases import free_card


@command(
    "generate",
    examples=(
        'generate --persona p001 --variant unified "What do you think?"',
        'generate --persona p001 --variant base --meta time_of_day=evening "Good night."',
        'generate --persona p001 --variant unified --stream "Good morning."',
    ),
)
@click.option("--persona", "persona_id", required=True, help="Who speaks.")
@click.option("--variant", required=True, help="Which variant answers.")
@click.option(
    "--meta",
    "circumstances",
    multiple=True,
    metavar="KEY=VALUE",
    help="A circumstance, such as time_of_day=evening.",
)
@click.option("--stream", is_flag=True, help="Show the reply as it grows, from the playground's generator.")
@click.argument("message")
def generate(
    call: Call, *, persona_id: str, variant: str, circumstances: tuple[str, ...], stream: bool, message: str
) -> int:
    """Let a variant answer a message of a persona."""
    from engine.results.store import variants

    if not message.strip():
        raise EngineError(
            "The message is empty.", 'Example: generate --persona p001 --variant base "Good night."'
        )
    meta = pairs(circumstances, option="--meta", example="time_of_day=evening")
    chosen = resolved(variant, variants(call.ws))
    if stream:
        return _stream(call, persona_id, chosen, message, meta)
    with free_card("generate"):
        from engine.lm.respond import respond  # loads the model code, so it comes after every other check

        answer = respond(call.ws, persona_id=persona_id, recipe=chosen.recipe, message=message, meta=meta)
    return call.answer(answer, lambda: out().print(Text(answer["reply"])))


def _stream(call: Call, persona_id: str, variant: Variant, message: str, meta: Mapping[str, Any]) -> int:
    """Print a reply while the generator says it; ended by Ctrl-C where it is."""
    from engine.core.questions import Answer
    from engine.serve import client
    from engine.serve.conversation import open_question

    asked = client.ask(call.ws, open_question(persona_id, message, [variant], meta=meta))
    shown, answer = "", Answer(asked)
    try:
        for answer in client.follow(call.ws, asked):
            text = answer.replies[0].text if answer.replies else ""
            if not call.as_json:
                click.echo(in_terminal(text[len(shown) :]), nl=False)
            shown = text
    except KeyboardInterrupt:
        client.cancel(call.ws, asked)
    faults = [(answer.error, answer.hint), *((reply.error, reply.hint) for reply in answer.replies)]
    for error, hint in faults:
        if error:
            raise EngineError(error, hint or "")
    return call.answer(asdict(answer), lambda: click.echo())
