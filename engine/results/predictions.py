"""What a variant answered, in the form that the official evaluators of the LaMP family read.

Owns the two files, {"task", "golds": [{"id", "output"}]}: the predictions, and the answers they are held
against, of the same queries in the same order. Scores nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace, write_atomically
from engine.data.dataset import load_dataset, load_splits
from engine.domains.registry import domain_of
from engine.domains.tasks import TASK
from engine.results import store

PREDICTIONS, GOLDS = "predictions.json", "golds.json"
_QUERY = "query-"


@dataclass(frozen=True, slots=True)
class Predictions:
    """What was written: the task's official name, how many queries, and how many have no answer."""

    task: str
    answered: int
    unanswered: int
    files: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "task": self.task,
            "answered": self.answered,
            "unanswered": self.unanswered,
            "files": [str(path) for path in self.files],
        }


def export_predictions(
    ws: Workspace, folder: Path, *, variant: str, split: str = "test", protocol: str | None = None
) -> Predictions:
    """Write predictions.json and golds.json of a variant into `folder` (created); `protocol`: the newest.

    Where the data has queries, only they are written, by their own ids; else every example by its. Raises
    EngineError for a variant without replies there.
    """
    rows = store.example_rows(ws, split=split, protocol=protocol)
    told = rows[rows["reply"].notna()]
    if variant not in set(told["variant"]):
        raise unknown_name(f"variant with replies on {split}", variant, sorted(set(told["variant"])))
    dataset, assignment = load_dataset(ws), load_splits(ws).assignment
    asked = {row.dialogue_id for row in dataset.dialogues if assignment[row.dialogue_id] == split}
    queries = {one for one in asked if _session(one).startswith(_QUERY)}
    own = told[told["variant"] == variant].sort_values("example_id")
    own = own[own["example_id"].map(lambda name: name.rpartition("#")[0] in queries)] if queries else own
    if own.empty:
        raise EngineError(f"{variant} answered no query of {split}.", "Name another split: --split test")
    names = [_id(name, is_query=bool(queries)) for name in own["example_id"]]
    tasks = {str(row.meta[TASK]) for row in dataset.dialogues if TASK in row.meta}
    task = official(tasks.pop()) if len(tasks) == 1 else domain_of(ws).name
    folder.mkdir(parents=True, exist_ok=True)
    for file, column in ((PREDICTIONS, "reply"), (GOLDS, "reference")):
        golds = [{"id": name, "output": text} for name, text in zip(names, own[column], strict=True)]
        text = json.dumps({"task": task, "golds": golds}, ensure_ascii=False, indent=1)
        write_atomically(folder / file, (text + "\n").encode("utf-8"))
    unanswered = len(queries) - len(own) if queries else 0
    return Predictions(task, len(own), unanswered, (folder / PREDICTIONS, folder / GOLDS))


def official(task: str) -> str:
    """Return a task's name as the evaluators write it: "lamp-4" -> "LaMP_4"."""
    return f"LaMP_{task.removeprefix('lamp-')}" if task.startswith("lamp-") else task


def _session(dialogue_id: str) -> str:
    return dialogue_id.rpartition("/")[2]


def _id(example_id: str, *, is_query: bool) -> str:
    return _session(example_id).rpartition("#")[0].removeprefix(_QUERY) if is_query else example_id
