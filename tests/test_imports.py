"""What loads what: rooms import one way, the light parts stay light, each heavy library has its one place."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.paths import REPOSITORY
from tools.house import ROOMS, house, phrase

MODEL_CODE = ("torch", "transformers", "peft", "sentence_transformers")
CLIENTS = ("openai", "anthropic")
LIGHT = [
    "engine.cli",
    "engine.runs.jobs",
    "engine.runs.worker",
    "engine.runs.supervisor",
    "engine.strategies.registry",
    "engine.strategies.plan",
    "engine.strategies.steps.estimate",
    "engine.lm.remote.clients",
    "engine.results.store",
    "engine.results.comparing.comparison",
    "engine.show.doctor",
]
_NAMED = re.compile(r"engine(?:\.\w+)+")


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    assert found
    return sorted(found)


def imports(source: str) -> set[str]:
    """The full names of everything a file imports, wherever in it: inside functions, under TYPE_CHECKING, and
    modules of the engine that are named in strings, to be imported or started later."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(_NAMED.findall(node.value))
    return found


def upward(room: str, source: str) -> set[str]:
    """The modules of later rooms, and the face above all, that a source text of `room` imports or names."""
    later = (*ROOMS[ROOMS.index(room) + 1 :], "face")
    return {name for name in imports(source) if name.startswith(tuple(f"engine.{one}" for one in later))}


def test_every_folder_of_the_engine_is_a_room() -> None:
    engine = REPOSITORY / "engine"
    folders = {path.name for path in engine.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)
    above_all_rooms = {"__init__.py", "__main__.py", "face.py"}
    assert {path.name for path in engine.glob("*.py")} == above_all_rooms


def test_the_plan_of_the_house_is_told_by_its_rooms_and_by_the_readme() -> None:
    print(f"\n{house()}")
    assert all(10 < len(phrase(REPOSITORY / "engine" / room)) <= 110 for room in ROOMS)
    plan = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## What is where")[2]
    assert tuple(re.findall(r"^      (\w+)/ ", plan, re.MULTILINE)) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it(room: str) -> None:
    wrong = {
        str(path.relative_to(REPOSITORY)): sorted(found)
        for path in sources(f"engine/{room}")
        if (found := upward(room, path.read_text(encoding="utf-8")))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "line",
    [
        "from engine.results import store",
        "import engine.results.store",
        "def later():\n    from engine.cli.frame import command",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from engine.strategies.plan import Plan",
        'importlib.import_module("engine.strategies.steps.train")',
        'detached(["engine.results.study.autopilot"])',
    ],
)
def test_an_import_upwards_is_found_wherever_it_hides(line: str) -> None:
    assert upward("runs", line)
    assert not upward("cli", line)
    assert upward("cli", "from engine.face import open")


def test_nothing_in_the_engine_imports_the_app_or_the_tools() -> None:
    for path in sources("engine"):
        wrong = {
            name
            for name in imports(path.read_text(encoding="utf-8"))
            if name.partition(".")[0] in ("pages", "app", "tests", "bench", "tools")
        }
        assert not wrong, f"{path.relative_to(REPOSITORY)} imports {sorted(wrong)}"


def load(*modules: str) -> set[str]:
    """Import modules in a fresh interpreter; return every top-level name that this loaded."""
    program = f"import sys, {', '.join(modules)}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_light_parts_and_every_page_load_no_model_code() -> None:
    # Pages run their top level when streamlit loads them, so they are imported the same way.
    pages = [".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in sources("pages")]
    loaded = load(*LIGHT, *(page.removesuffix(".__init__") for page in pages))
    assert not loaded & {*MODEL_CODE, *CLIENTS}


def test_a_supervisor_is_tiny() -> None:
    heavy = {*MODEL_CODE, "duckdb", "pandas", "pyarrow", "numpy", "streamlit", "click", "rich"}
    assert not load("engine.runs.supervisor", "engine.runs.worker") & heavy


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("duckdb", ("engine/results/store/",)),
        ("streamlit", ("app.py", "pages/")),
        *((name, ("engine/lm/", "engine/serve/", "engine/strategies/")) for name in MODEL_CODE),
        *((name, ("engine/lm/remote/",)) for name in CLIENTS),
        ("click", ("engine/cli/",)),
        ("rich", ("engine/cli/",)),
    ],
)
def test_each_library_has_its_place(library: str, places: tuple[str, ...]) -> None:
    strangers = []
    for path in (REPOSITORY / "app.py", *sources("engine", "pages")):
        names = {name.partition(".")[0] for name in imports(path.read_text(encoding="utf-8"))}
        name = str(path.relative_to(REPOSITORY))
        if library in names and not name.startswith(places):
            strangers.append(name)
    assert strangers == []


def test_streamlit_finds_no_page_of_its_own() -> None:
    """It makes every script right in pages/ a page, reached without app.py and so without signing in."""
    assert [path.name for path in (REPOSITORY / "pages").glob("*.py")] == ["__init__.py"]
