"""What every command shares: its options, its output as a table or JSON, and how an error is shown."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.core.command import command_line, in_workspace
from engine.core.errors import DataError, EngineError
from engine.core.paths import Workspace, open_workspace

_WIDE = 160


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command: its workspace, and whether it answers in JSON."""

    ws: Workspace
    as_json: bool

    def command(self, *words: str, **options: Any) -> str:
        """Return a command line that means this workspace."""
        return command_line(*words, ws=self.ws, options=options)

    def say(self, text: str) -> None:
        """Print a line beside the answer's tables; however long, it can be copied whole."""
        out().print(Text(in_workspace(text, self.ws)), soft_wrap=True)

    def answer(self, value: Any, show: Callable[[], None]) -> None:
        """Print the answer: `value` as one JSON object, or whatever `show` prints."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))
        else:
            show()


def command(name: str, *, examples: Sequence[str]) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command with --workspace and --json, whose help ends with examples; it gets a `Call` first."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        @click.option("--workspace", "-w", type=click.Path(path_type=Path), help="The workspace's folder.")
        @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
        @functools.wraps(function)
        def called(workspace: Path | None, as_json: bool, **values: Any) -> Any:
            ws = open_workspace(workspace)
            try:
                return function(Call(ws, as_json), **values)
            except EngineError as error:
                error.hint = in_workspace(error.hint, ws)
                raise

        shown = "\n".join(f"  python -m engine {example}" for example in examples)
        return click.command(name, epilog=f"\b\nExamples:\n{shown}")(called)

    return wrap


def out() -> Console:
    """The console for answers; wide where it is no terminal, so that no table is cut in a file."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def err() -> Console:
    """The console for errors, notes and progress."""
    return Console(file=sys.stderr, width=None if sys.stderr.isatty() else _WIDE, highlight=False)


def note(text: str) -> None:
    """Print a remark beside the answer, on stderr."""
    err().print(Text(text, style="yellow"))


class _Notes(logging.Handler):
    """Shows the engine's warnings as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def show_warnings() -> None:
    """Let what the engine warns of reach the user; once is enough."""
    logger = logging.getLogger("engine")
    if not any(isinstance(handler, _Notes) for handler in logger.handlers):
        logger.addHandler(_Notes(logging.WARNING))


def show_error(error: EngineError, *, as_json: bool) -> None:
    """Print an error: message and hint in red on stderr, or as a JSON object on stdout."""
    faults = [str(fault) for fault in error.faults] if isinstance(error, DataError) else []
    if as_json:
        record = {"error": error.message, "hint": error.hint} | ({"faults": faults} if faults else {})
        click.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    console = err()
    console.print(Text(f"Error: {error.message}", style="bold red"))
    for fault in faults[:20]:
        console.print(Text(f"  {fault}", style="red"))
    if len(faults) > 20:
        console.print(Text(f"  ... and {len(faults) - 20} more", style="red"))
    if error.hint:
        console.print(Text(error.hint, style="red"))


def pairs(given: Iterable[str], *, option: str, example: str) -> dict[str, str]:
    """Return KEY=VALUE texts as a mapping. Raises EngineError on one that is no pair."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise EngineError(f"{option} needs KEY=VALUE, not {text!r}.", f"Example: {option} {example}")
        found[key.strip()] = value.strip()
    return found


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table with these columns; those named in `right` are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return made
