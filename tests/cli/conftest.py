"""The command line called in the test's own process, and its words found as it would find them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from engine.cli import cli, main
from engine.core.paths import Workspace

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command line in this process; return exit code, stdout and stderr."""

    def call(*arguments: str, workspace: Path | None = None) -> tuple[int, str, str]:
        code = main([*arguments, "--workspace", str(workspace or ws.root)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def ask(run: Run, *arguments: str) -> Any:
    """Return what a command answers as JSON; it must succeed."""
    code, said, _ = run(*arguments, "--json")
    assert code == 0, said
    return json.loads(said)


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that is shown."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def misread(words: list[str]) -> str:
    """Return why the command line does not take these words, "" where it does; does nothing of it."""
    command: click.Command = cli
    context = click.Context(cli, info_name="python -m engine")
    left = words
    while isinstance(command, click.Group) and left:
        found = command.get_command(context, left[0])
        if found is None:
            return f"there is no command {left[0]!r}"
        command, left = found, left[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    if isinstance(command, click.Group):
        return ""
    try:
        command.make_context(command.name, left, parent=context.parent)
    except click.UsageError as error:
        said = error.format_message()
        return "" if not left and said.startswith("Missing") else said  # without a word it is only named
    except click.exceptions.Exit:
        pass  # --help
    return ""
