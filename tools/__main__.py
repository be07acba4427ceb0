"""`python -m tools`: what makes and checks the material that the product ships with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from engine.core.paths import REPOSITORY, embedded_base
from tools.house import ROOMS


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def tools() -> None:
    """Programs around Persona Lab that it does not need to run."""


@tools.command("build-base")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Where; by default where the project keeps it."
)
@click.option("--seed", type=int, help="By default the recipe's.")
@click.option("--tokens", type=click.IntRange(min=1), help="Training tokens; by default the recipe's.")
def build_base(output: Path | None, seed: int | None, tokens: int | None) -> None:
    """Build the embedded base model from nothing; 30 to 90 minutes on 2 cores."""
    from tools.base_build import Build, build

    recipe = Build()
    recipe = recipe.shortened(tokens) if tokens else recipe
    recipe = replace(recipe, seed=recipe.seed if seed is None else seed)
    facts = build(output or embedded_base(), recipe, say=lambda line: click.echo(line, err=True))
    click.echo(json.dumps(facts, ensure_ascii=False, indent=2))


@tools.command("world-report")
@click.option(
    "--reference", type=click.Path(exists=True, path_type=Path), help="Real dialogues to compare with."
)
@click.option("--personas", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--dialogues", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def world_report(reference: Path | None, personas: int, dialogues: int, seed: int) -> None:
    """Hold the worlds' text against real dialogues."""
    from tools.world_report import report

    found = report(reference, personas=personas, dialogues=dialogues, seed=seed)
    click.echo(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, indent=2))


@tools.command("house")
@click.argument("room", required=False, type=click.Choice([*ROOMS, "pages"]))
def house(room: str | None) -> None:
    """Show the rooms of the code in order, with their files and lines; of a ROOM, what each file is for."""
    from tools.house import house as plan
    from tools.house import inside

    folder = REPOSITORY / (room if room == "pages" else f"engine/{room}")
    click.echo(inside(folder) if room else plan())


@tools.command("layouts")
@click.option("--write", is_flag=True, help="Into docs/your-data.md instead of to the terminal.")
def layouts(write: bool) -> None:
    """Say of every layout how it is recognised, what orders it, and what is scored."""
    from tools import layout_table

    if write:
        layout_table.write()
    else:
        click.echo(layout_table.table())


@tools.command("reference")
@click.option("--write", is_flag=True, help="Into docs/reference.md instead of to the terminal.")
def reference(write: bool) -> None:
    """Say what there is: every command, experiment and metric."""
    from tools.reference import PAGE
    from tools.reference import reference as made

    if write:
        PAGE.write_text(made() + "\n", encoding="utf-8")
    else:
        click.echo(made())


if __name__ == "__main__":
    tools()
