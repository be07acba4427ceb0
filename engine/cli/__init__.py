"""The command line, `python -m engine`: a thin face over the engine. One module a group of commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from engine.cli import (
    augmenting,
    autopilot,
    bench,
    building,
    demo,
    estimates,
    queue,
    report,
    results,
    runs,
    setup,
    study_import,
    sweeping,
    talk,
    tree,
)
from engine.cli.frame import show_error, show_warnings
from engine.errors import EngineError, refusal

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Persona Lab: find out which way of personalising a small language model really helps, and whom."""


for _module in (
    demo,
    setup,
    runs,
    sweeping,
    queue,
    estimates,
    results,
    report,
    study_import,
    tree,
    autopilot,
    talk,
    augmenting,
    building,
    bench,
):
    for _command in _module.COMMANDS:
        cli.add_command(_command)


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


def _usage_hint(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "python -m engine"
    return f"See: {path} --help"
