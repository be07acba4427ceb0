"""The command line, `python -m engine`: a thin face over the engine. One module a group of commands."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from engine.cli.frame import show_error, show_warnings
from engine.core.errors import EngineError, refusal

__all__ = ["cli", "main", "run"]


_HOMES = {
    "demo": ("demo",),
    "setup": ("init", "doctor"),
    "runs": ("run", "experiments", "status", "cancel", "resume", "logs"),
    "sweeping": ("sweep", "pilot"),
    "queue": ("queue", "retry", "clone", "machine"),
    "estimates": ("estimates",),
    "results": ("compare", "rebuild-db"),
    "report": ("report",),
    "study_import": ("import-study", "route-imported"),
    "tree": ("tree",),
    "autopilot": ("autopilot",),
    "talk": ("generate",),
    "augmenting": ("augment",),
    "worlds": ("worlds", "base"),
    "bench": ("bench",),
}


class _Commands(click.Group):
    """All commands by name; a command's module is imported when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for names in _HOMES.values() for name in names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        home = next((module for module, names in _HOMES.items() if cmd_name in names), None)
        if home is None:
            return None
        commands: Sequence[click.Command] = importlib.import_module(f"engine.cli.{home}").COMMANDS
        return next(command for command in commands if command.name == cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as unknown:
            names = self.list_commands(ctx)
            raise click.exceptions.NoSuchCommand(
                unknown.command_name, possibilities=names, ctx=ctx
            ) from unknown


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
def cli() -> None:
    """Persona Lab: find out which way of personalising a small language model really helps, and whom."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. The command line's one boundary for errors.

    0: done. 1: it failed, with a message and a hint. 2: the command was written wrongly. 130: interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    show_warnings()
    try:
        code = cli.main(args=given, prog_name="python -m engine", standalone_mode=False)
    except EngineError as error:
        show_error(error, as_json=as_json)
        return 1
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.UsageError as error:
        show_error(EngineError(error.format_message(), _usage_hint(error)), as_json=as_json)
        return 2
    except click.ClickException as error:
        show_error(EngineError(error.format_message()), as_json=as_json)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read the answer has gone
        return 1
    except OSError as error:
        told = refusal(error)
        if told is None:
            raise
        show_error(told, as_json=as_json)
        return 1
    except (click.Abort, KeyboardInterrupt):
        show_error(EngineError("Interrupted."), as_json=as_json)
        return 130
    return code if isinstance(code, int) else 0


def run() -> None:
    """Run the command line as a program: what `persona-lab` and `python -m engine` start."""
    sys.exit(main())


def _usage_hint(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "python -m engine"
    return f"See: {path} --help"
