"""Every command line that is printed anywhere is read by the command line as what it was meant for."""

from __future__ import annotations

import ast
import json
import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click
import pytest
from click.testing import CliRunner

from engine.cli import cli
from engine.core.command import command_line
from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace
from engine.strategies import registry
from engine.strategies.cloning import command_of
from engine.strategies.plan import plan
from engine.strategies.spec import EvaluationSettings, Experiment, validate
from engine.strategies.sweep import command_of as sweep_command_of
from engine.strategies.sweep import plan_sweep, sweep_of
from tests.cli.conftest import misread
from tests.workspaces import leave, make_workspace

_PRINTED = re.compile(r"python -m engine (?P<words>[^`\n]*)")
_HOLE = "HOLE"
_DRAWS = 12
_OF_PROCESSES = ("supervise", "work", "work-on-ray")
"""What processes of runs are started with; nobody is told to type it."""


def ask(line: str) -> Any:
    """Paste a line into the command line, as a dry run."""
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "engine"]
    answer = CliRunner().invoke(cli, [*words[3:], "--dry-run", "--json"])
    assert answer.exception is None, (line, answer.exception, answer.output)
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("a place with spaces"), truth=True)


def values(annotation: Any, default: Any) -> list[Any]:
    """Some values that a parameter of this type might take."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return list(inner)
    if origin is list:
        members = [one for one in values(inner[0], None) if one is not None]
        return [members[:1], members[::-1], members[-2:], default]
    if origin is Union or type(None) in inner:
        return [one for part in inner for one in values(part, default)]
    if annotation is type(None):
        return [None]
    known: dict[Any, list[Any]] = {
        bool: [True, False],
        int: [1, 2, 3, 7, 12],
        float: [0.0, 0.1 + 0.2, 1e-5, 0.5, 1.0, 3.0],
        str: ["unified", "per-persona", "a,b", "null", "1", 'it\'s "so"', " x ", "gpt-4o", "http://x:1/v1"],
    }
    return known.get(annotation, [default])


def drawn(entry: Experiment, draw: random.Random) -> dict[str, Any]:
    """Sound parameters of an experiment, some of them changed; what does not fit is left at its default."""
    given: dict[str, Any] = {}
    for form in (entry.parameters, EvaluationSettings):
        for name, field in form.model_fields.items():
            value = draw.choice(values(field.annotation, field.get_default(call_default_factory=True)))
            if draw.random() < 0.5 and _sound(entry, {**given, name: value}):
                given[name] = value
    return given


def _sound(entry: Experiment, given: dict[str, Any]) -> bool:
    try:
        entry.needs(validate(entry, given).parameters)
    except EngineError:
        return False
    return True


@pytest.mark.parametrize("name", registry.EXPERIMENTS)
def test_a_runs_command_asks_for_that_very_run(quiet: Workspace, name: str) -> None:
    draw, asked = random.Random(name), 0
    for _ in range(_DRAWS):
        given = drawn(registry.get(name), draw)
        try:
            made = plan(quiet, name, given, seed=draw.choice([None, 3]))
        except EngineError:
            continue  # not here, or not together
        seed = made.target.spec.seed if "seed" in made.target.spec.changed else None
        line = command_of(made.target.spec, quiet, seed=seed, upstream={})
        assert ask(line)["run_id"] == made.target.run_id, line
        asked += 1
    assert asked or name in ("augmentation", "imported-adapters", "tuned")  # which need what is not here


def test_a_run_on_others_names_them(ws: Workspace) -> None:
    for lift in (0.1, 0.2):
        leave(ws, plan(ws, "gain", {"lift": lift}))
    over = plan(ws, "gain", {"lift": 0.1}).target.run_id
    made = plan(ws, "after", {"ticks": 5}, upstream={"over": over}, seed=4).target
    assert ask(command_of(made.spec, ws))["run_id"] == made.run_id


def test_a_sweeps_command_asks_for_those_very_runs(quiet: Workspace) -> None:
    for sweep in (
        sweep_of(quiet, "learning-curve"),
        sweep_of(quiet, "constrained", "l2", [0.1 + 0.2, 1.0, 0.0]),
    ):
        asked = {one.target.run_id for one in plan_sweep(quiet, sweep, {"epochs": 2}, seed=5)}
        found = ask(sweep_command_of(sweep, {"epochs": 2}, quiet, seed=5))
        assert {one["run_id"] for one in found["plans"]} == asked


def literals() -> Iterator[tuple[str, str]]:
    """Every command line in a text of the source: (file:line, what comes after `python -m engine`)."""
    for folder in ("engine", "pages"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            if path.name == "command.py":
                continue  # the speller itself
            tree = ast.parse(path.read_text(encoding="utf-8"))
            parts = {
                id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
            }
            for node in ast.walk(tree):
                if id(node) in parts:
                    continue
                for match in _PRINTED.finditer(_text(node)):
                    words = re.split(r"[.,;]\s|\s\s|\s\(", match["words"])[0].strip().rstrip('.,;:)"')
                    if words and words.split()[0] not in _OF_PROCESSES:
                        yield f"{path.relative_to(REPOSITORY)}:{node.lineno}", words  # type: ignore[attr-defined]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else _HOLE for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.parametrize(("place", "words"), list(literals()), ids=str)
def test_every_command_in_a_text_of_the_source_can_be_typed(place: str, words: str) -> None:
    if words.startswith(_HOLE):
        pytest.skip("the command itself is filled in; the commands' own examples are read elsewhere")
    said = misread(shlex.split(words))
    assert not said or _HOLE in said, f"{place}: {words}: {said}"


def test_the_words_for_commands_are_taken_from_the_command_line() -> None:
    """What is spelled by `command_line` names commands that exist."""
    found = []
    for folder in ("engine", "pages"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            found += re.findall(r"(?:command_line|call\.command|frame\.command)\(\s*[\"']([a-z-]+)", text)
    assert len(found) > 10
    assert {name for name in found if name not in cli.list_commands(click.Context(cli))} == set()
    assert command_line("status", ws=Workspace(Path("/w x"))) == "python -m engine status --workspace '/w x'"
