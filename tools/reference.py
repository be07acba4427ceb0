"""docs/reference.md: every command, experiment, metric and word, as their registries tell them.

`python -m tools reference --write` writes it anew; a test holds the file against the registries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from engine.cli import cli
from engine.core.paths import REPOSITORY
from engine.domains.metrics import METRICS
from engine.show import glossary
from engine.strategies.registry import EXPERIMENTS
from engine.strategies.spec import EvaluationSettings, Parameters

PAGE = REPOSITORY / "docs" / "reference.md"
_OPENING = """# Reference

Made from the registries by `.venv/bin/python -m tools reference --write`; each command's `--help` and each
experiment's form in the app say more.
"""


def reference() -> str:
    """Return the page's Markdown."""
    return "\n".join([_OPENING, *_commands(), *_experiments(), *_metrics(), *_words()])


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "Each also takes `--workspace DIR`, `--json` and `--help`.\n"
    yield from _table(
        ("command", "what it does"),
        ((f"`python -m engine {' '.join(path)}`", _first_line(found)) for path, found in _walk(cli, ())),
    )


def _walk(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if found is None or found.hidden:
            continue
        if isinstance(found, click.Group):
            yield from _walk(found, (*path, name))
        else:
            yield (*path, name), found


def _experiments() -> Iterator[str]:
    yield "\n## Experiments\n"
    yield "`python -m engine run NAME --set PARAMETER=VALUE`. All take, too:\n"
    yield from _parameters(EvaluationSettings)
    for name, entry in EXPERIMENTS.items():
        yield f"\n### {name}\n"
        yield f"{entry.title}. {entry.question} Makes: {entry.makes}.\n"
        if entry.parameters.model_fields:
            yield from _parameters(entry.parameters)
        if entry.presets:
            yield "\nPresets: " + ", ".join(f"`{one.name}` ({one.source})" for one in entry.presets) + "."


def _metrics() -> Iterator[str]:
    yield "\n## Metrics\n"
    yield "A study shows its domain's. `compare --metric NAME` shows one; `rescore` computes new ones.\n"
    told = {True: "more is better", False: "less is better", None: "neither"}
    yield from _table(
        ("metric", "label", "domain", "unit", "direction", "version", "meaning"),
        (
            (
                *(f"`{one.name}`", one.label, ", ".join(one.domains) or "any"),
                *(one.unit, told[one.higher_is_better], one.version, one.help),
            )
            for one in METRICS.values()
        ),
    )


def _words() -> Iterator[str]:
    yield "\n## Words\n"
    yield glossary.as_lines(glossary.WORDS)


def _parameters(form: type[Parameters]) -> Iterator[str]:
    yield from _table(
        ("parameter", "default", "meaning"),
        (
            (f"`{name}`", f"`{field.get_default(call_default_factory=True)}`", field.description or "")
            for name, field in form.model_fields.items()
        ),
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _first_line(command: click.Command) -> str:
    return (command.help or "").strip().splitlines()[0]
