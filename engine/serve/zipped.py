"""A variant's exported folder, and as one zip, for the app. Loads no model: a process of its own does."""

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace


def zipped(ws: Workspace, variant: str) -> bytes:
    """Return what `export` writes of a variant (adapters in PEFT's format, card, recipe, prompts) as a zip.

    Takes as long as loading the base does. Raises EngineError as the command does.
    """
    with tempfile.TemporaryDirectory(prefix="persona-lab-zip-") as place:
        folder = Path(place) / "variant"
        exported(ws, variant, folder)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
        return made.getvalue()


def exported(ws: Workspace, variant: str, folder: Path, *words: str) -> None:
    """Let `export` write a variant into a new folder; `words` are more of its own. Raises what it says."""
    told = ["export", variant, str(folder), *words, "--workspace", str(ws.root), "--json"]
    line = [sys.executable, "-m", "engine", *told]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _refusal(variant, done)


def _refusal(variant: str, done: subprocess.CompletedProcess[str]) -> EngineError:
    try:
        told = json.loads(done.stdout)
        return EngineError(told["error"], told["hint"])
    except (ValueError, KeyError, TypeError):
        last = done.stderr.strip().rpartition("\n")[2] or f"it ended with {done.returncode}"
        return EngineError(
            f"{variant} could not be exported: {last}",
            f"Try it in a terminal: python -m engine export {variant} FOLDER",
        )
