"""What every command shares: its options, its output as a table or JSON, and how an error is shown."""

import codecs
import functools
import io
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from engine.core.command import command_line, in_workspace
from engine.core.errors import DataError, EngineError
from engine.core.paths import Workspace, open_workspace
from engine.core.plain import in_terminal, json_text

_WIDE = 10_000  # columns of what is no terminal: nothing is cut in a file or a pipe
_LEAST_WORDS, _GAP = 12, 2  # of a table: columns that words need, columns between two


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

    def answer(self, value: Mapping[str, Any], show: Callable[[], None]) -> int:
        """Print the answer: `value` as one JSON object, or whatever `show` prints; return exit code 0."""
        if self.as_json:
            click.echo(as_text(value))
        else:
            show()
        return 0


class Place(click.Path):
    """A path; ~ is the home folder also where the shell leaves it as it is, as behind an option's "="."""

    def __init__(self, **more: Any) -> None:
        super().__init__(path_type=Path, **more)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(os.path.expanduser(value), param, ctx)


def as_text(value: Any) -> str:
    """Return `value` as JSON that stdout can write whatever its encoding. Raises ValueError on NaN."""
    return json_text(value, ascii_only=not _writes_unicode(sys.stdout))


def steady_streams() -> None:
    """Let every locale, and streams that were closed, take what is printed.

    ASCII, which a bare locale means, becomes UTF-8 unless PYTHONIOENCODING asks for it; in any other narrow
    encoding a letter that it lacks is written by its number. A closed stream swallows.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the process's life
        elif isinstance(stream, io.TextIOWrapper) and not _writes_unicode(stream):
            bare = codecs.lookup(stream.encoding).name == "ascii" and not os.environ.get("PYTHONIOENCODING")
            stream.reconfigure(encoding="utf-8" if bare else stream.encoding, errors="backslashreplace")
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # half a letter pair, from a file's name


def _writes_unicode(stream: Any) -> bool:
    return "utf" in (getattr(stream, "encoding", None) or "utf-8").lower()


def command(
    name: str, *, examples: Sequence[str], anywhere: bool = False
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command with --workspace and --json, whose help ends with examples; it gets a `Call` first.

    It refuses a folder that is no workspace, unless it works `anywhere`.
    """

    def wrap(function: Callable[..., Any]) -> click.Command:
        @click.option("--workspace", "-w", type=Place(), help="The workspace's folder.")
        @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
        @functools.wraps(function)
        def called(workspace: Path | None, as_json: bool, **values: Any) -> Any:
            ws = open_workspace(workspace)
            try:
                if not anywhere:
                    ws.read_config()
                return function(Call(ws, as_json), **values)
            except EngineError as error:
                error.hint = in_workspace(error.hint, ws)
                raise

        shown = "\n".join(f"  python -m engine {example}" for example in examples)
        return click.command(name, epilog=f"\b\nExamples:\n{shown}")(called)

    return wrap


class _PlainConsole(Console):
    """A console that takes no text for markup and lets no text move the terminal; styles are given apart."""

    def __init__(self, file: IO[str]) -> None:
        width = None if file.isatty() else _WIDE
        super().__init__(file=file, width=width, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(in_terminal(segment.text), segment.style)


def out() -> Console:
    """The console for answers; wide where it is no terminal, so that no table is cut in a file."""
    return _PlainConsole(sys.stdout)


def err() -> Console:
    """The console for errors, notes and progress."""
    return _PlainConsole(sys.stderr)


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


def leave_stdout() -> None:
    """Let nothing more be said where nobody reads it, or it finds no room."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_error(error: EngineError, *, as_json: bool) -> None:
    """Print an error: message and hint in red on stderr, or as a JSON object on stdout, if that takes it."""
    faults = [str(fault) for fault in error.faults] if isinstance(error, DataError) else []
    if as_json:
        record = {"error": error.message, "hint": error.hint} | ({"faults": faults} if faults else {})
        try:
            click.echo(as_text(record))
            return
        except OSError:
            leave_stdout()
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


class FittingTable(Table):
    """A table whose names and numbers are whole at any width.

    Where it is too wide its words are wrapped; where that does not do, the last columns of numbers are left
    out, and named below.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = [(column, self._need(console, column)) for column in self.columns]
        numbers = [one for one in kept[1:] if one[0].justify == "right"]
        left_out: list[str] = []
        while numbers and sum(need + _GAP for _, need in kept) - _GAP > options.max_width:
            kept.remove(numbers[-1])
            left_out.insert(0, str(numbers.pop()[0].header))
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for column, _ in kept:
            shown.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap)
        for cells in zip(*(column.cells for column, _ in kept), strict=True):
            shown.add_row(*cells)
        yield shown
        if left_out:
            yield Text(f"Wider than this terminal: {', '.join(left_out)} (or --json)", style="dim")

    def _need(self, console: Console, column: Column) -> int:
        """The width at which every name and number is whole, and words have some room."""
        whole, cells = console.options.update(width=_WIDE), (column.header, *column.cells)
        wide = max(Measurement.get(console, whole, cell).maximum for cell in cells)
        return wide if column.no_wrap else min(wide, _LEAST_WORDS)


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table with these columns; those named in `right` hold numbers, aligned to the right."""
    made = FittingTable(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        number = column in right
        made.add_column(column, justify="right" if number else "left", no_wrap=number or place == 0)
    return made
