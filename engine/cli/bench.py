"""The command that measures this engine against the ordinary way: bench. The scripts are in bench/."""

from __future__ import annotations

import subprocess
import sys

import click

from engine.errors import EngineError
from engine.paths import REPOSITORY

_FOLDER = REPOSITORY / "bench"


@click.command(
    "bench",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
    epilog="Examples:\n\n  python -m engine bench train\n\n  python -m engine bench eval --base 0.5b --json",
)
@click.argument("name")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def bench(name: str, options: tuple[str, ...]) -> int:
    """Run one benchmark; `bench NAME --help` tells its options.

    NAME is the name of a script in bench/: train, eval, merge, score and others.
    """
    known = sorted(
        path.stem for path in _FOLDER.glob("*.py") if "def main" in path.read_text(encoding="utf-8")
    )
    if name not in known:
        raise EngineError(f"There is no benchmark called {name}.", f"Known: {', '.join(known)}.")
    return subprocess.run([sys.executable, str(_FOLDER / f"{name}.py"), *options], check=False).returncode


COMMANDS = (bench,)
