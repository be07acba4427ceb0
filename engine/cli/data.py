"""The commands of the Data page: init, and worlds, which writes a synthetic world's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from engine.cli.bases import show_card
from engine.cli.frame import Call, command, out
from engine.core.base_folder import EMBEDDED
from engine.core.base_identity import pin_base, shown_base
from engine.core.errors import EngineError
from engine.domains.registry import BUILT_IN


@command(
    "init",
    examples=(
        "init --workspace W --dataset world:default --personas 20 --dialogues 30",
        "init --workspace W --dataset my/dialogues.jsonl --split by-persona",
        "init --workspace W --dataset world:default --personas 20 --base smollm2",
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
    "--base",
    default="embedded",
    show_default=True,
    help="The base model: embedded, smollm2, a path, or a hub id.",
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

    looked = _probed(str(choices["base"]))
    card = prepare(call.ws, **choices)

    def show() -> None:
        if looked is not None:
            show_card(looked)
        _show_card(call, card)

    call.answer(card if looked is None else {**card, "base": looked}, show)
    return 0


def _probed(base: str) -> dict[str, Any] | None:
    """Look at a base before anything is built on it; what ships with the project is known."""
    if base == EMBEDDED:
        return None
    from engine.lm.probe import probe

    found = probe(pin_base(base))
    found.refuse()
    return found.as_json()


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
    out().print(Text(f"Base model: {shown_base(str(call.ws.read_config()['base']))}"))
    call.say(f"Next: {call.command('run', 'unified')}")


@click.group("worlds")
def worlds() -> None:
    """Synthetic worlds: data whose truth is known."""


@command("make", examples=("worlds make default out/", "worlds make uniform out/ --personas 50 --seed 3"))
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--personas", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--dialogues", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def make(call: Call, *, name: str, folder: Path, personas: int, dialogues: int, seed: int) -> int:
    """Write a world's files (characters, routines, sessions, truth) into FOLDER."""
    from engine.data.worlds import write_world

    if folder.exists() and any(folder.iterdir()):
        raise EngineError(f"{folder} is not empty.", "Name a new folder.")
    write_world(folder, name=name, personas=personas, dialogues=dialogues, seed=seed)
    value = {"world": name, "folder": str(folder), "personas": personas, "dialogues": dialogues, "seed": seed}
    call.answer(
        value, lambda: out().print(Text(f"{folder}: {name}, {personas} personas x {dialogues} dialogues."))
    )
    return 0


worlds.add_command(make)
COMMANDS = (init, worlds)
