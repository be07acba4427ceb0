"""The command line, `python -m engine`: a thin face over the engine. Its groups are the pages."""

import importlib
import signal
import sys
from collections.abc import Mapping, Sequence

import click

from engine.cli import ending
from engine.cli.frame import leave_stdout, note, show_error, show_warnings, steady_streams
from engine.core.errors import EngineError, refusal

__all__ = ["cli", "main", "run"]


PAGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Study": {
        "study.demo": ("demo",),
        "study.tree": ("tree",),
        "study.autopilot": ("autopilot",),
        "study.published": ("import-study", "route-imported"),
    },
    "Experiments": {
        "experiments.launch": ("run", "experiments", "estimates"),
        "experiments.sweep": ("sweep", "pilot"),
        "experiments.tune": ("tune",),
        "experiments.seeds": ("repeat", "reference"),
        "experiments.augment": ("augment",),
        "bases": ("import-adapters",),
    },
    "Runs": {
        "runs": ("status", "cancel", "resume", "start-over", "logs", "queue", "clone"),
        "keeping": ("label", "delete", "restore", "curves", "export-runs"),
    },
    "Compare": {
        "compare": ("compare", "freeze", "rescore"),
        "predictions": ("export-predictions",),
        "serving": ("serve", "export", "push"),
        "tables": ("export-table",),
    },
    "Playground": {"playground": ("generate",)},
    "Data": {"data": ("init", "worlds", "scorer")},
    "Report": {"report": ("report",)},
    "Settings": {
        "settings": ("machine", "doctor", "rebuild-db", "base", "bench", "keys"),
        "cleaning": ("clean",),
    },
}
"""The commands by the page of the app that does the same, and the module that each is in."""
_EARLIER = {"retry": "start-over"}
"""Words of earlier versions; they still work, and say what the word is now."""


class _Commands(click.Group):
    """All commands by name; a command's module is imported when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for homes in PAGES.values() for names in homes.values() for name in names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = _EARLIER.get(cmd_name, cmd_name)
        homes = {one: home for page in PAGES.values() for home, names in page.items() for one in names}
        if name not in homes:
            return None
        if name != cmd_name:
            note(f"{cmd_name} is called {name} now, as in the app.")
        there = vars(importlib.import_module(f"engine.cli.{homes[name]}")).values()
        return next(one for one in there if isinstance(one, click.Command) and one.name == name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands under the names of the pages, in their order."""
        widest = max(map(len, self.list_commands(ctx)))
        for page, homes in PAGES.items():
            found = [self.get_command(ctx, name) for names in homes.values() for name in names]
            room = formatter.width - 6 - widest
            rows = [(one.name or "", one.get_short_help_str(room)) for one in found if one is not None]
            with formatter.section(page):
                formatter.write_dl([(name.ljust(widest), told) for name, told in rows])

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
    143: told to end by SIGTERM. 129: its terminal has gone.
    """
    steady_streams()
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
        leave_stdout()  # whoever read the answer has gone
        return 1
    except OSError as error:
        told = refusal(error)
        if told is None:
            raise
        show_error(told, as_json=as_json)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return _interrupted(ending.heard() or signal.SIGINT, as_json=as_json)
    except Exception:
        number = ending.heard()
        if not number:
            raise
        return _interrupted(number, as_json=as_json)  # a library made another error of it
    return code if isinstance(code, int) else 0


def run() -> None:
    """Run the command line as a program: what `persona-lab` and `python -m engine` start.

    Told to end, it ends as by Ctrl-C: nothing stays half written.
    """
    ending.listen()
    code = main()
    ending.hear_no_more()
    sys.exit(code)


def _interrupted(number: int, *, as_json: bool) -> int:
    show_error(EngineError("Interrupted."), as_json=as_json)
    return 128 + number


def _usage_hint(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "python -m engine"
    return f"See: {path} --help"
