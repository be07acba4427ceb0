"""Every button that changes something tells its command, with its form's present values, to be pasted."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator

import click
import pytest

from engine.cli import cli
from engine.core.command import PROGRAM
from engine.core.paths import REPOSITORY, Workspace
from engine.strategies.plan import plan
from tests.pages.conftest import Open, commands

_PAGES = (
    ("home", {}),
    ("experiments", {"experiment": "per-persona"}),
    ("runs", {}),
    ("compare", {}),
    ("compare", {"split": "test"}),
    ("compare", {"view": "away"}),
    ("compare", {"view": "certainty"}),
    ("report", {}),
    ("settings", {}),
)
_NONE = {  # what no command does: keys come from the environment there, and a folder is what its user deletes
    "New study", "Keep it", "Delete what is kept", "Delete this tree", "Stop serving",
    "Show what would go out",
}  # fmt: skip


def parsed(line: str) -> click.Context:
    """Parse a line as the shell and the command line would; nothing is done."""
    assert line.startswith(f"{PROGRAM} "), line
    words = shlex.split(line.removeprefix(f"{PROGRAM} "))
    command: click.Command | None = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
    assert command is not None, line
    return command.make_context("engine", words)


@pytest.mark.parametrize(("page", "asked"), _PAGES)
def test_what_buttons_tell_can_be_pasted(
    open_page: Open, full: Workspace, page: str, asked: dict[str, str]
) -> None:
    lines = [
        line for found in commands(open_page(full, page, **asked)).values() for line in found.splitlines()
    ]
    assert lines
    for line in lines:
        assert str(full.root) in line
        assert parsed(line).params["workspace"] is not None


def test_a_form_tells_the_values_it_has_now(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "experiments", experiment="per-persona")
    app.number_input(key="experiments_per-persona_epochs").set_value(7).run()
    line = commands(app)["experiments_per-persona_launch"]
    assert "--set epochs=7" in line
    app = open_page(full, "settings")
    app.number_input(key="settings_slots").set_value(3).run()
    assert "--training-slots 3" in commands(app)["settings_queue_save"]


def test_an_import_tells_what_its_form_says(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    app.number_input(key="data_personas_world").set_value(7).run()
    line = commands(app)["data_import"]
    assert "init --dataset world:" in line
    assert parsed(line).params["personas"] == 7


def test_the_command_of_a_launch_plans_the_same_runs(open_page: Open, prepared: Workspace) -> None:
    from engine.core.command import read_value

    app = open_page(prepared)
    for line in commands(app)["home_first"].splitlines():
        params = parsed(line).params
        given = dict(one.split("=", 1) for one in params.get("settings", ()))
        found = plan(prepared, params["name"], {name: read_value(one) for name, one in given.items()})
        assert found.runs


def _actions() -> Iterator[tuple[str, ast.Call]]:
    for folder in ("study", "experiments", "runs", "compare", "data", "report", "settings", "shared"):
        for path in (REPOSITORY / "pages" / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("frame.action", "action"):
                    yield path.name, node


def test_no_button_that_changes_something_keeps_its_command_to_itself() -> None:
    for name, call in _actions():
        label = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
        has = any(one.arg == "command" for one in call.keywords)
        assert has or label in _NONE, f"{name}: {ast.unparse(call)[:90]}"
