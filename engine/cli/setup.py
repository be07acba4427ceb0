"""The commands about a workspace: init, doctor."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, out, table
from engine.domains.registry import BUILT_IN


@command(
    "init",
    examples=(
        "init --workspace W --dataset world:default --personas 20 --dialogues 30",
        "init --workspace W --dataset my/dialogues.jsonl --split by-persona",
        "init --workspace W --dataset owner/dataset --base Qwen/Qwen2.5-0.5B-Instruct",
    ),
)
@click.option("--dataset", required=True, help="A path, a hub id, or world:NAME.")
@click.option(
    "--split",
    type=click.Choice(["auto", "by-time", "by-persona"]),
    default="auto",
    show_default=True,
    help="Divide every persona's dialogues by time, or the personas themselves.",
)
@click.option(
    "--base", default="embedded", show_default=True, help="The base model: embedded, a path, or a hub id."
)
@click.option(
    "--domain",
    help=f"What the data is about: {', '.join(one.name for one in BUILT_IN)}, or one's own; else recognised.",
)
@click.option(
    "--personas", type=click.IntRange(min=1), help="A seeded subset of so many (a world: how many)."
)
@click.option(
    "--dialogues", type=click.IntRange(min=1), help="The first so many of each persona (a world: how many)."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The workspace's seed.")
@click.option("--keep-good", is_flag=True, help="Leave faulty rows out instead of refusing the dataset.")
@click.option("--force", is_flag=True, help="Replace data that has no runs yet.")
def init(call: Call, **choices: Any) -> int:
    """Create a workspace: import a dataset, check it, and split it."""
    from engine.data.prepare import prepare

    card = prepare(call.ws, **choices)
    call.answer(card, lambda: _show_card(call, card))
    return 0


@command("doctor", examples=("doctor --workspace W", "doctor --fix", "doctor --json"))
@click.option("--fix", is_flag=True, help="Mend what loses nothing.")
def doctor(call: Call, *, fix: bool) -> int:
    """Look for what is broken or missing in a workspace, and say what to do; exit code 1 when there is."""
    from engine.show.doctor import examine

    checks = examine(call.ws, fix=fix)
    healthy = all(check.ok for check in checks)

    def show() -> None:
        shown = table("", "check", "found")
        shown.columns[2].no_wrap = False
        for check in checks:
            mark = Text("ok", style="green") if check.ok else Text("!!", style="bold red")
            shown.add_row(mark, Text(check.name), Text(f"{check.detail} {check.hint}".strip()))
        out().print(shown)

    call.answer({"ok": healthy, "checks": [asdict(check) for check in checks]}, show)
    return 0 if healthy else 1


def _show_card(call: Call, card: dict[str, Any]) -> None:
    counts = card["counts"]
    state = "already holds" if card.get("unchanged") else "holds"
    out().print(Text(f"{call.ws.root} {state} {card['source']}", style="bold"))
    by_split = ", ".join(f"{number} {name}" for name, number in counts["examples_by_split"].items())
    out().print(
        Text(
            f"{counts['personas']} personas, {counts['dialogues']} dialogues, split {card['split']}"
            + (f", domain {card['domain']}" if "domain" in card else "")
        )
    )
    out().print(Text(f"{counts['examples']} examples: {by_split}"))
    for remark in card.get("notes", ()):
        out().print(Text(remark, style="yellow"))
    if card.get("left_out"):
        out().print(
            Text(f"{len(card['left_out'])} faulty rows were left out; card.json lists them.", style="yellow")
        )
    out().print("Next: python -m engine run unified")


COMMANDS = (init, doctor)
