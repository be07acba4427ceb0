"""The scorer of a workspace: what it reads of the replies, and another one in its place."""

from __future__ import annotations

import click
from rich.text import Text

from engine.cli.frame import Call, command, note, out


@command("scorer", examples=("scorer", "scorer BAAI/bge-m3", "scorer DIR", "scorer all-MiniLM-L6-v2"))
@click.argument("name", required=False)
def scorer(call: Call, *, name: str | None) -> int:
    """Show which sentence encoder scores and what it can read, or choose NAME (a hub id or folder).

    Scores by the encoder before stay, under their own protocol. Where it cannot read the replies, chrF
    decides.
    """
    from engine.domains import metrics
    from engine.lm.scorer_choice import encoder_of, reading
    from engine.strategies.scorer import choose

    encoder = choose(call.ws, name) if name is not None else encoder_of(call.ws)
    found, decides = reading(call.ws), metrics.primary(call.ws)

    def show() -> None:
        size = f"{encoder.dimensions} dimensions, {encoder.most_tokens} tokens a text"
        out().print(Text(f"{encoder.identity}: {size}", style="bold"))
        out().print(Text(found.words if found and found.words else "It reads all replies that are judged."))
        out().print(Text(f"The primary metric is {decides.label}."))
        if found is not None and not found.is_trusted:
            note("Its similarity says little here. Another one: python -m engine scorer HUB_ID_OR_FOLDER")

    told = {"scorer": encoder.identity, "primary": decides.name, "unknown": None, "cut": None}
    call.answer({**told, **({"unknown": found.unknown, "cut": found.cut} if found else {})}, show)
    return 0


COMMANDS = (scorer,)
