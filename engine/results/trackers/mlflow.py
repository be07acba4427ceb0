"""Runs as a folder of MLflow's file store: an experiment a study, a folder a run, a file a metric.

https://mlflow.org/docs/latest/self-hosting/architecture/backend-store/ (the layout is what its FileStore
reads). A run that is written again takes the place of what was there.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from engine.core.paths import make_folder, whole
from engine.results.trackers.tracked import Tracked

_STATUS: Final = {"running": 1, "queued": 2, "succeeded": 3, "failed": 4, "lost": 4, "cancelled": 5}
_LOCAL: Final = 4
_UNNAMED: Final = re.compile(r"[^\w\-. /:]")
_MOST_PARAMETER, _MOST_TAG = 6000, 8000


def write(folder: Path, study: str, runs: Iterable[Tracked]) -> int:
    """Write the runs below `folder`; return how many they were."""
    number = str(int(hashlib.sha256(study.encode()).hexdigest()[:15], 16))
    home = folder / number
    made = 0
    for run in runs:
        with whole(home / run.run_id) as part:
            _write_run(part, home, number, run)
        made += 1
    if made:
        told = {"artifact_location": home.absolute().as_uri(), "experiment_id": number, "name": study}
        _write_yaml(home / "meta.yaml", {**told, "lifecycle_stage": "active"})
    return made


def _write_run(part: Path, home: Path, number: str, run: Tracked) -> None:
    for name in ("metrics", "params", "tags", "artifacts"):
        make_folder(part / name)
    _write_yaml(
        part / "meta.yaml",
        {
            "artifact_uri": (home / run.run_id / "artifacts").absolute().as_uri(),
            "end_time": None if run.ended is None else int(1000 * run.ended),
            "entry_point_name": "",
            "experiment_id": number,
            "lifecycle_stage": "active",
            "run_id": run.run_id,
            "run_uuid": run.run_id,
            "run_name": run.run_id,
            "source_name": "",
            "source_type": _LOCAL,
            "source_version": "",
            "start_time": int(1000 * run.began),
            "status": _STATUS[run.state],
            "tags": [],
            "user_id": "persona-lab",
        },
    )
    lines: dict[str, list[str]] = {}
    for point in run.points:
        lines.setdefault(point.name, []).append(f"{int(1000 * point.at)} {point.value!r} {point.step}\n")
    for name, told in lines.items():
        _write(part / "metrics", name, "".join(told))
    for name, value in run.parameters.items():
        _write(part / "params", name, value[:_MOST_PARAMETER])
    parent = {"mlflow.parentRunId": run.parent} if run.parent else {}
    for name, value in {**run.tags, **parent, "mlflow.runName": run.run_id}.items():
        _write(part / "tags", name, value[:_MOST_TAG])


def _write(folder: Path, name: str, text: str) -> None:
    """Write a value under its name, whose slashes are folders; what MLflow takes in no name becomes "_"."""
    path = folder / _UNNAMED.sub("_", name)
    make_folder(path.parent)
    path.write_text(text, encoding="utf-8")


def _write_yaml(path: Path, value: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
