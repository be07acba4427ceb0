"""Small workspaces for tests, written by hand so that no test waits for an import or a model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.core.paths import Workspace, write_atomically, write_json
from engine.runs.runfolder import Status, write_spec, write_status
from engine.strategies.plan import Plan, plan
from engine.strategies.runnable import execute
from tests.steps_for_tests import HOLD, PERSONAS


def make_workspace(
    root: Path, *, scheme: str = "by-time", character: str | None = "Likes it warm.", truth: bool = False
) -> Workspace:
    """Write a workspace of six personas with three dialogues each, and a base model that is a config only."""
    ws = Workspace(root)
    base = root / "tiny-base"
    write_json(base / "config.json", {"model_type": "qwen2"})
    made = {"dataset": {"source": "by hand"}, "created_at": "2024-01-01"}
    write_json(ws.config, {**made, "base": str(base), "split": scheme, "seed": 0})
    personas = [{"persona_id": name, "character": character, "routines": []} for name in PERSONAS]
    _write_lines(ws.dataset / "personas.jsonl", personas)
    dialogues = [_dialogue(name, order) for name in PERSONAS for order in range(3)]
    _write_lines(ws.dataset / "dialogues.jsonl", dialogues)
    counts = {"personas": len(PERSONAS), "personas_with_character": len(PERSONAS) if character else 0}
    counts["dialogues"] = len(dialogues)
    write_json(ws.dataset / "card.json", {"source": "by hand", "data_hash": "d" * 64, "counts": counts})
    splits = ("train", "val", "test")
    assignment = {entry["dialogue_id"]: splits[entry["order"]] for entry in dialogues}
    write_json(ws.splits / "splits.json", {"scheme": scheme, "assignment": assignment, "online": []})
    if truth:
        _write_lines(ws.dataset / "truth.jsonl", [])
    return ws


def finish(ws: Workspace, experiment: str, parameters: dict[str, Any] | None = None, *, seed: int = 0) -> str:
    """Do a run and all it needs in this process, without the queue; return its id."""
    planned = plan(ws, experiment, parameters, seed=seed)
    leave(ws, planned)
    return planned.target.run_id


def leave(ws: Workspace, planned: Plan) -> None:
    """Do every run of a plan that is not done yet, in this process."""
    for run in planned.runs:
        if run.state != "succeeded":
            folder, order = ws.run_folder(run.run_id), len(list(ws.runs.glob("*"))) + 1
            write_status(folder, Status(state="running", order=order, attempt=1))
            write_spec(folder, run.spec)
            assert execute(ws, run.run_id, Status(state="running", order=order, attempt=1)) == 0


def count_as_taken_in(ws: Workspace) -> None:
    """Let the data that now lies in a workspace count as what it took in."""
    noted = ws.read_config()
    write_json(ws.config, {**noted, "files": {}, "dataset": {**noted["dataset"], "data_hash": ""}})


@contextmanager
def held(ws: Workspace) -> Iterator[None]:
    """Within the block no run that counts goes on from where it stands, so that none ends too soon."""
    (ws.data / HOLD).touch()
    try:
        yield
    finally:
        (ws.data / HOLD).unlink(missing_ok=True)


def eventually(holds: Callable[[], Any], *, timeout_seconds: float = 400.0) -> Any:
    """Wait until `holds` returns something true, and return that; fail when it never does."""
    until = time.monotonic() + timeout_seconds
    while time.monotonic() < until:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"It did not come true within {timeout_seconds:.0f} s.")


def _dialogue(persona_id: str, order: int) -> dict[str, Any]:
    said = (("user", "Lights, please."), ("assistant", "The lights are on."))
    return {
        "persona_id": persona_id,
        "dialogue_id": f"{persona_id}/{order:04d}",
        "order": order,
        "meta": {},
        "messages": [{"role": role, "text": text} for role, text in said],
    }


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    write_atomically(path, "".join(json.dumps(record) + "\n" for record in records))
