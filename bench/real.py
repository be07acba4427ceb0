"""A real model on real and synthetic dialogues: the tables of docs/real-model.md, by the product's commands.

    .venv/bin/python -m engine bench real --dialogues FILE --out DIR      100 real dialogues, by persona
    .venv/bin/python -m engine bench real --out DIR                      20 personas x 20 dialogues of a world

Both stand on SmolLM2-135M-Instruct (make setup-smollm2) and, beside it, on the embedded base. What is done
already in DIR is not done again, so an interrupted table goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.ground import ROOT

SETTINGS = ("examples_per_persona=5",)
REAL = (("unified", "epochs=2"),)
WORLD = (
    ("unified", "epochs=1"),
    ("retrieval", "k=3", "over=unified"),
    ("per-persona", "epochs=1"),
    ("hybrid", "epochs=1"),
    ("routing",),
)


def engine(*words: str) -> Any:
    """Run a command of the product and return its JSON; what it says of an error ends the table."""
    done = subprocess.run(
        [sys.executable, "-m", "engine", *words, "--json"], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def table(ws: Path, base: str, data: tuple[str, ...], experiments: tuple[tuple[str, ...], ...]) -> None:
    """Make a workspace, run what the table asks for, and print its rows."""
    engine("init", "--workspace", str(ws), "--base", base, *data)
    for name, *parameters in experiments:
        told = [word for one in (*parameters, *SETTINGS) for word in ("--set", one)]
        engine("run", name, "--workspace", str(ws), *told)
    found = engine("compare", "--split", "test", "--workspace", str(ws))
    seconds = {one["run_id"]: one["seconds"] for one in engine("status", "--workspace", str(ws))["runs"]}
    print(f"\n{base}: {' '.join(data)}")
    print(json.dumps({"compared": found, "seconds": seconds}, indent=1))


def main() -> None:
    """Make the tables that were asked for."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--out", type=Path, required=True, help="Where the workspaces lie.")
    made.add_argument("--dialogues", type=Path, help="Real dialogues (.jsonl, or a folder); else a world.")
    made.add_argument("--base", nargs="+", default=["smollm2", "embedded"])
    made.add_argument("--json", action="store_true", help="It prints JSON anyway.")
    options = made.parse_args()
    for base in options.base:
        if options.dialogues:
            data = ("--dataset", str(options.dialogues), "--split", "by-persona")
            table(options.out / f"real-{base}", base, data, REAL)
        else:
            data = ("--dataset", "world:default", "--personas", "20", "--dialogues", "20")
            table(options.out / f"world-{base}", base, data, WORLD)


if __name__ == "__main__":
    main()
