"""The commands about base models beside the workspace's settings: base probe, base use, import-adapters."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from engine.cli.frame import Call, Place, command, note, out, table
from engine.core.base_identity import pin_base, shown_base
from engine.runs.leases import free_card

if TYPE_CHECKING:
    from engine.lm.probe import Card

_MARKS = {"works": ("ok", "green"), "mended": ("->", "yellow"), "refused": ("!!", "bold red")}


@command(
    "probe",
    examples=("base probe", "base probe smollm2", "base probe owner/name --json", "base probe path/to/model"),
    anywhere=True,
)
@click.argument("name", required=False)
def probe(call: Call, *, name: str | None) -> int:
    """Look at a base model before anything is built on it; by default the workspace's. Exit code 1: refused.

    A hub model is fetched first. Takes seconds: the chat template, the token ids, the window, the layers, a
    training step and a reply.
    """
    found = probed(name or str(call.ws.read_config()["base"]))
    call.answer(found, lambda: show_card(found))
    return 0 if found["usable"] else 1


def probed(name: str) -> dict[str, Any]:
    """Return the card of a base as JSON holds it; a hub id is pinned to its revision."""
    return looked_at(name).as_json()


def looked_at(name: str) -> "Card":
    """Return the card of a base, for which a GPU is taken that nobody holds."""
    with free_card("a look at a base"):
        from engine.lm.probe import probe as look

        return look(pin_base(name))


def show_card(card: Mapping[str, Any]) -> None:
    """Print a base's card."""
    out().print(Text(f"Base model {shown_base(card['base'])}", style="bold"))
    shown = table("", "looked at", "found")
    for one in card["findings"]:
        mark, style = _MARKS[one["verdict"]]
        shown.add_row(
            Text(mark, style=style), Text(one["name"]), Text(f"{one['detail']} {one['hint']}".strip())
        )
    out().print(shown)


@command("use", examples=("base use smollm2 --workspace W", "base use Qwen/Qwen2.5-0.5B-Instruct"))
@click.argument("name")
def use(call: Call, *, name: str) -> int:
    """Change the workspace's base model. What was made stays, under its own protocol, beside what follows."""
    from engine.strategies.ground import change_base

    card = looked_at(name)
    card.refuse()
    before, now = change_base(call.ws, name)

    def show() -> None:
        show_card(card.as_json())
        if before == now:
            out().print(Text(f"It is the base of {call.ws.root} already."))
            return
        out().print(Text(f"{call.ws.root} stands on {shown_base(now)} now; before: {shown_base(before)}"))
        note("What was made over the other base stays, under its own protocol.")
        call.say(f"Next: {call.command('run', 'unified')}")

    return call.answer({"before": before, "base": now, "card": card.as_json()}, show)


@command(
    "import-adapters",
    examples=("import-adapters DIR --workspace W", "import-adapters DIR --name theirs --detach"),
)
@click.argument("folder", metavar="DIR", type=Place())
@click.option("--name", default="adapters", show_default=True, help="The name of the variant they make.")
@click.option("--detach", is_flag=True, help="Return at once; the scoring goes on in the background.")
def import_adapters(call: Call, *, folder: Path, name: str, detach: bool) -> int:
    """Make a variant of LoRA adapters from elsewhere: one folder a persona in DIR, in PEFT's format.

    They are checked, copied into the workspace, and scored like any other variant.
    """
    from engine.cli.experiments.launch import launch
    from engine.strategies.plan import plan

    given = {"folder": os.path.realpath(folder), "variant": name}
    return launch(call, plan(call.ws, "imported-adapters", given), detach=detach)
