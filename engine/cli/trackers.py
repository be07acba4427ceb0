"""The command that gives runs to the trackers people have: export-runs."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from typing import Final

import click

from engine.cli.frame import Call, command, out
from engine.core.errors import EngineError
from engine.core.wording import count
from engine.runs.records import find, scan

TRACKERS: Final = ("mlflow", "trackio", "wandb")
_LOOK: Final = {
    "mlflow": "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {folder}",
    "trackio": "TRACKIO_DIR={folder} trackio show",
    "wandb": "wandb sync {folder}/offline-run-*",
}


@command(
    "export-runs",
    examples=(
        "export-runs --to mlflow my-runs",
        "export-runs --to trackio my-runs unified-1a2b3c4d hybrid-5e6f7a8b",
        "export-runs --to wandb my-runs",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.argument("run_ids", nargs=-1)
@click.option("--to", "tracker", required=True, type=click.Choice(TRACKERS), help="Whose files are written.")
def export_runs(call: Call, *, folder: Path, run_ids: tuple[str, ...], tracker: str) -> int:
    """Write runs into FOLDER as another tracker's files: all that have begun, or RUN_IDS.

    Parameters, numbers over steps, final scores on validation, tags, and the run each stands on.
    """
    from engine.results.trackers.tracked import has_begun, tracked

    call.ws.read_config()
    for run_id in run_ids:
        find(call.ws, run_id)
    chosen = [one for one in scan(call.ws) if has_begun(one) and (not run_ids or one.run_id in run_ids)]
    if not chosen:
        raise EngineError("No run here has begun.", "See: python -m engine status")
    write = importlib.import_module(f"engine.results.trackers.{tracker}").write
    made = write(folder, call.ws.root.resolve().name, tracked(call.ws, chosen))
    look = _LOOK[tracker].format(folder=shlex.quote(str(folder)))
    told = {"folder": str(folder), "runs": made, "tracker": tracker, "look": look}
    call.answer(told, lambda: out().print(f"{count(made, 'run')} in {folder}. Look at them: {look}"))
    return 0


COMMANDS = (export_runs,)
