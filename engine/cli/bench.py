"""The command that measures this engine against the ordinary way: bench. The scripts are in bench/."""

from __future__ import annotations

import subprocess
import sys

import click

from engine.cli.frame import Call, command
from engine.core import secrecy
from engine.core.errors import unknown_name
from engine.core.paths import REPOSITORY

_FOLDER = REPOSITORY / "bench"


@command("bench", examples=("bench train", "bench eval --base 0.5b --json"))
@click.argument("name")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def bench(call: Call, *, name: str, options: tuple[str, ...]) -> int:
    """Run one benchmark: train, eval, score, merge, or another script of bench/.

    Further OPTIONS are the script's own. Every benchmark brings its own data, so the workspace plays no part.
    """
    known = sorted(path.stem for path in _FOLDER.glob("*.py") if "def main" in path.read_text("utf-8"))
    if name not in known:
        raise unknown_name("benchmark", name, known)
    given = [*options, *(["--json"] if call.as_json else [])]
    words = [sys.executable, str(_FOLDER / f"{name}.py"), *given]
    return subprocess.run(words, check=False, env=secrecy.environment()).returncode


bench.context_settings = {"ignore_unknown_options": True}

COMMANDS = (bench,)
