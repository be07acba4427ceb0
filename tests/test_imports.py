"""What loads what: the light parts stay light, and each heavy library has its one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.paths import REPOSITORY

MODEL_CODE = ("torch", "transformers", "peft", "sentence_transformers")
CLIENTS = ("openai", "anthropic")
PAGES = sorted(path.stem for path in (REPOSITORY / "pages").glob("*.py") if path.stem != "__init__")
JOBS, WORKER, SUPERVISOR = "engine.runs.jobs.", "engine.runs.worker.", "engine.runs.supervisor."
STORE, LM, STEPS = "engine.results.store.", "engine.lm.", "engine.strategies.steps."
LIGHT = [
    "engine.cli",
    "engine.runs.jobs",
    "engine.results.store",
    "engine.results.comparing.comparison",
    "engine.show.doctor",
]
LIGHT += [
    "engine.strategies.catalog",
    "engine.strategies.plan",
    "engine.runs.worker",
    "engine.runs.supervisor",
]
LIGHT += ["engine.lm.remote.estimate", "engine.lm.remote.clients"]


def imports(path: Path) -> set[str]:
    """The full names of everything a file imports, wherever in it, `if TYPE_CHECKING` included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def top_level(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def sources() -> list[Path]:
    folders = [REPOSITORY / "engine", REPOSITORY / "pages"]
    found = [REPOSITORY / "app.py", *(path for folder in folders for path in folder.rglob("*.py"))]
    return [path for path in found if path.exists()]


def within(path: Path, *places: str) -> bool:
    name = str(path.relative_to(REPOSITORY))
    return any(name == place or name.startswith(place) for place in places)


def load(*modules: str) -> set[str]:
    """Import modules in a fresh interpreter; return every top-level name that this loaded."""
    program = f"import sys, {', '.join(modules)}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_light_parts_and_every_page_load_no_model_code() -> None:
    # Pages run their top level when streamlit loads them, so they are imported the same way.
    pages = [f"pages.{name}" for name in PAGES]
    loaded = load(*LIGHT, *pages)
    assert not loaded & {*MODEL_CODE, *CLIENTS}


def test_a_supervisor_is_tiny() -> None:
    heavy = {*MODEL_CODE, "duckdb", "pandas", "pyarrow", "numpy", "streamlit", "pydantic", "click", "rich"}
    assert not load("engine.runs.supervisor", "engine.runs.worker") & heavy


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("duckdb", ("engine/results/store/",)),
        ("streamlit", ("app.py", "pages/")),
        *((name, ("engine/lm/", "engine/strategies/steps/")) for name in MODEL_CODE),
        *((name, ("engine/lm/remote/",)) for name in CLIENTS),
        ("click", ("engine/cli/",)),
        ("rich", ("engine/cli/",)),
    ],
)
def test_each_library_has_its_place(library: str, places: tuple[str, ...]) -> None:
    strangers = [str(path.relative_to(REPOSITORY)) for path in sources() if library in top_level(path)]
    assert [name for name in strangers if not within(REPOSITORY / name, *places)] == []


def test_imports_go_one_way() -> None:
    """Types, paths, errors <- data, stats, experiments <- lm <- steps <- worker; jobs never meets worker."""
    forbidden = {
        "engine/core/errors.py": ("engine.",),
        "engine/core/types.py": ("engine.",),
        "engine/data/": (LM, STEPS, JOBS, STORE, "engine.strategies."),
        "engine/stats/": (LM, STEPS, JOBS, STORE, "engine.data."),
        "engine/strategies/": (LM, STEPS, JOBS, STORE, WORKER),
        "engine/lm/": (STEPS, JOBS, STORE, WORKER, "engine.strategies."),
        "engine/strategies/steps/": (JOBS, STORE, WORKER, SUPERVISOR),
        "engine/runs/worker.py": (JOBS, STORE, SUPERVISOR, "engine.runs.launchers.ray"),
        "engine/runs/jobs.py": (WORKER, STORE, LM, STEPS),
        "engine/results/store/": (LM, STEPS, JOBS, WORKER),
    }
    for place, unwanted in forbidden.items():
        for path in sources():
            if within(path, place):
                wrong = {name for name in imports(path) if f"{name}.".startswith(unwanted)}
                assert not wrong, f"{path.relative_to(REPOSITORY)} imports {sorted(wrong)}"
