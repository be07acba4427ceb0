"""What a variant answered, in the form that the official evaluators of the LaMP family read.

Owns the files, {"task", "golds": [{"id", "output"}]}: the predictions, and the answers they are held against,
of the same queries in the same order; and apart, answered now, those of queries whose answers nobody here
knows. Scores nothing.
"""

import json
from collections.abc import Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace, make_folder, write_atomically
from engine.core.types import Dataset, Example
from engine.data.dataset import load_dataset, load_splits
from engine.domains.registry import domain_of
from engine.domains.tasks import QUERY, TASK, is_unanswered
from engine.results import store

PREDICTIONS, GOLDS, HIDDEN = "predictions.json", "golds.json", "predictions-hidden.json"


@dataclass(frozen=True, slots=True)
class Predictions:
    """What was written: the task's official name, how many queries, and how many have no prediction.

    `hidden` is how many were answered of the `of_hidden` whose right answers are not known.
    """

    task: str
    answered: int
    unanswered: int
    hidden: int
    of_hidden: int
    files: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "files": [str(path) for path in self.files]}


def export_predictions(
    ws: Workspace, folder: Path, *, variant: str, split: str = "test", protocol: str | None = None
) -> Predictions:
    """Write predictions.json and golds.json of a variant into `folder` (created); `protocol`: the newest.

    Where the data has queries, only they are written, by their own ids; else every example by its. Those
    without a known answer are answered now, whatever the split. Raises EngineError for a variant without
    replies there.
    """
    rows = store.example_rows(ws, split=split, protocol=protocol)
    told = rows[rows["reply"].notna()]
    if variant not in set(told["variant"]):
        raise unknown_name(f"variant with replies on {split}", variant, sorted(set(told["variant"])))
    dataset, assignment = load_dataset(ws), load_splits(ws).assignment
    hidden = {row.dialogue_id for row in dataset.dialogues if is_unanswered(row)}
    asked = {row.dialogue_id for row in dataset.dialogues if assignment[row.dialogue_id] == split} - hidden
    queries = {one for one in asked if _session(one).startswith(QUERY)}
    own = told[told["variant"] == variant].sort_values("example_id")
    if queries or hidden:
        own = own[own["example_id"].map(lambda name: name.rpartition("#")[0] in queries)]
    if own.empty and not hidden:
        raise EngineError(f"{variant} answered no query of {split}.", "Name another split: --split test")
    tasks = {str(row.meta[TASK]) for row in dataset.dialogues if TASK in row.meta}
    task = official(tasks.pop()) if len(tasks) == 1 else domain_of(ws).name
    named = {name: _id(name, is_query=bool(queries)) for name in own["example_id"]}
    files = {
        file: {named[name]: text for name, text in zip(own["example_id"], own[column], strict=True)}
        for file, column in ((PREDICTIONS, "reply"), (GOLDS, "reference"))
        if not own.empty
    }
    if hidden:
        fields = store.protocols(ws).set_index("protocol")["fields"]
        limit = fields.loc[[protocol or store.newest_protocol(ws)]].iloc[0]["max_new_tokens"]
        replies = _answered(ws, variant, dataset, hidden, max_new_tokens=int(limit))
        files[HIDDEN] = {_id(name, is_query=True): text for name, text in replies.items()}
    make_folder(folder)
    for file, said in files.items():
        golds = [{"id": name, "output": text} for name, text in said.items()]
        text = json.dumps({"task": task, "golds": golds}, ensure_ascii=False, indent=1)
        write_atomically(folder / file, (text + "\n").encode("utf-8"))
    unanswered = len(queries) - len(own) if queries else 0
    answered = len(files.get(HIDDEN, ()))
    written = tuple(folder / file for file in files)
    return Predictions(task, len(own), unanswered, answered, len(hidden), written)


def _answered(
    ws: Workspace, variant: str, dataset: Dataset, wanted: Set[str], *, max_new_tokens: int
) -> dict[str, str]:
    """Return example_id -> what the variant answers now to dialogues that end with the user."""
    from engine.lm.respond import respond_to_all  # torch, where something is to be answered

    recipe = next(one.recipe for one in store.variants(ws) if one.variant == variant)
    asked = [
        Example(
            f"{row.dialogue_id}#{len(row.messages)}",
            row.persona_id,
            row.dialogue_id,
            len(row.messages),
            row.messages,
            "",
            row.meta,
        )
        for row in dataset.dialogues
        if row.dialogue_id in wanted
    ]
    return respond_to_all(ws, recipe, asked, max_new_tokens=max_new_tokens)


def official(task: str) -> str:
    """Return a task's name as the evaluators write it: "lamp-4" -> "LaMP_4"."""
    return f"LaMP_{task.removeprefix('lamp-')}" if task.startswith("lamp-") else task


def _session(dialogue_id: str) -> str:
    return dialogue_id.rpartition("/")[2]


def _id(example_id: str, *, is_query: bool) -> str:
    return _session(example_id).rpartition("#")[0].removeprefix(QUERY) if is_query else example_id
