"""The commands that make what the project ships with: worlds, base. Thin: options in, report out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, err, out
from engine.core.errors import EngineError
from engine.core.paths import embedded_base
from engine.core.plain import in_terminal, json_text


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


@command("report", examples=("worlds report", "worlds report --reference my/dialogues.jsonl --personas 50"))
@click.option(
    "--reference", type=click.Path(exists=True, path_type=Path), help="Real dialogues to compare with."
)
@click.option("--personas", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--dialogues", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def report(call: Call, *, reference: Path | None, personas: int, dialogues: int, seed: int) -> int:
    """Hold the worlds' text against real dialogues."""
    from tools.world_report import report as world_report

    found = world_report(reference, personas=personas, dialogues=dialogues, seed=seed)
    call.answer(found, lambda: _show(found))
    return 0


@command("build", examples=("base build", "base build --output elsewhere/base --seed 2"))
@click.option(
    "--output", type=click.Path(path_type=Path), help="Where; by default where the project keeps it."
)
@click.option("--seed", type=int, help="By default the recipe's.")
@click.option("--tokens", type=click.IntRange(min=1), help="Training tokens; by default the recipe's.")
def build(call: Call, *, output: Path | None, seed: int | None, tokens: int | None) -> int:
    """Build the embedded base model from nothing; 30 to 90 minutes on 2 cores."""
    from tools.base_build import Recipe
    from tools.base_build import build as build_base

    recipe = Recipe()
    recipe = recipe.shortened(tokens) if tokens else recipe
    recipe = replace(recipe, seed=recipe.seed if seed is None else seed)
    facts = build_base(output or embedded_base(), recipe, say=lambda line: err().print(line, markup=False))
    call.answer(facts, lambda: _show(facts))
    return 0


@command("card", examples=("base card", "base card --json"))
def card(call: Call) -> int:
    """Print the card of the embedded base model: recipe, losses, how well it copies."""
    folder = embedded_base()
    if not (folder / "README.md").exists():
        raise EngineError("The embedded base model is not built.", "Build it: python -m engine base build")
    facts = folder / "build.json"
    value = json.loads(facts.read_text()) if facts.exists() else {}
    call.answer(value, lambda: click.echo(in_terminal((folder / "README.md").read_text())))
    return 0


def _show(found: Any) -> None:
    click.echo(in_terminal(found) if isinstance(found, str) else json_text(found))


for _command in (make, report):
    worlds.add_command(_command)
for _command in (build, card):
    base.add_command(_command)

COMMANDS = (worlds, base)
