"""Runs as another tracker's files, for the command and the page alike: which runs go, and how to look."""

import importlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.runs.records import find, scan

TRACKERS: Final = {"mlflow": "MLflow", "trackio": "Trackio", "wandb": "Weights & Biases"}
LOOK: Final = {
    "mlflow": "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {folder}",
    "trackio": "TRACKIO_DIR={folder} trackio show",
    "wandb": "wandb sync {folder}/offline-run-*",
}


def export(ws: Workspace, tracker: str, folder: Path, run_ids: Collection[str] = ()) -> int:
    """Write the runs that have begun, or those of them that are named, into a folder; return how many.

    Raises EngineError for a run that is not here, and where none has begun.
    """
    from engine.results.trackers.tracked import has_begun, tracked

    for run_id in run_ids:
        find(ws, run_id)
    chosen = [one for one in scan(ws) if has_begun(one) and (not run_ids or one.run_id in run_ids)]
    if not chosen:
        raise EngineError("No run here has begun.", "See: python -m engine status")
    write = importlib.import_module(f"engine.results.trackers.{tracker}").write
    return write(folder, ws.root.resolve().name, tracked(ws, chosen))
