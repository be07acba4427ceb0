"""What the project ships with: synthetic worlds as files, and the embedded base's card."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.text import Text

from engine.cli.frame import Call, command, out
from engine.core.errors import EngineError
from engine.core.paths import embedded_base
from engine.core.plain import in_terminal


@click.group("worlds")
def worlds() -> None:
    """Synthetic worlds: data whose truth is known."""


@click.group("base")
def base() -> None:
    """The base model that ships with the project."""


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


@command("card", examples=("base card", "base card --json"))
def card(call: Call) -> int:
    """Print the card of the embedded base model: recipe, losses, how well it copies."""
    folder = embedded_base()
    if not (folder / "README.md").exists():
        raise EngineError("The embedded base model is not built.", "Build it: python -m tools build-base")
    facts = folder / "build.json"
    value = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
    call.answer(value, lambda: click.echo(in_terminal((folder / "README.md").read_text(encoding="utf-8"))))
    return 0


worlds.add_command(make)
base.add_command(card)
COMMANDS = (worlds, base)
