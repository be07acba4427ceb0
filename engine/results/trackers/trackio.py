"""Runs as a database of Trackio: a file a study, read where TRACKIO_DIR names its folder.

Owns the two tables that hold a run (https://github.com/gradio-app/trackio, sqlite_storage.py); Trackio makes
the others when it opens the file. A run that is written again takes the place of what was there.
"""

import json
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.core.paths import full_disk_told, make_folder
from engine.results.trackers.tracked import Tracked

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
    run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT);
CREATE TABLE IF NOT EXISTS configs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, run_name TEXT NOT NULL,
    config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE(run_id));
"""


def write(folder: Path, study: str, runs: Iterable[Tracked]) -> int:
    """Write the runs into STUDY.db below `folder`; return how many they were."""
    make_folder(folder)
    name = re.sub(r"[^\w-]", "", study, flags=re.ASCII) or "default"
    made = 0
    file = folder / f"{name}.db"
    with full_disk_told(file), closing(sqlite3.connect(file)) as held, held:
        held.executescript(_TABLES)
        for run in runs:
            _write_run(held, run)
            made += 1
    return made


def _write_run(held: sqlite3.Connection, run: Tracked) -> None:
    for table in ("metrics", "configs"):
        held.execute(f"DELETE FROM {table} WHERE run_id = ?", (run.run_id,))
    rows: dict[int, tuple[float, dict[str, float]]] = {}
    for point in run.points:
        _, values = rows.setdefault(point.step, (point.at, {}))
        values[point.name] = point.value
    held.executemany(
        "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)",
        [
            (run.run_id, _at(at), run.run_id, step, json.dumps(values))
            for step, (at, values) in sorted(rows.items() or [(0, (run.began, {}))])
        ],
    )
    parent = {"parent": run.parent} if run.parent else {}
    config = {**run.parameters, **run.tags, **parent}
    config |= {"_Group": run.experiment, "_Username": "persona-lab", "_Created": _at(run.began)}
    held.execute(
        "INSERT INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)",
        (run.run_id, run.run_id, json.dumps(config), _at(run.began)),
    )


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
