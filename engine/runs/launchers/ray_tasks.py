"""What a task on the Ray cluster does: one part of a run, in the run's folder on the shared path.

Runs on any node; knows nothing of Ray. It reports into a folder of its own below parts/, read by the driver.
"""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.core import keyring
from engine.core.base_identity import refuse_other_base
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_if_whole
from engine.lm.remote.keys import names_for
from engine.runs.context import Cancelled, RunContext
from engine.runs.parts import Part, PartDone
from engine.runs.registry import Registry
from engine.runs.runfolder import ENDED, Status, read_spec, read_status

PARTS = "parts"
STOP = "stop.json"
TURN = "turn.json"


def reports_of(ws: Workspace, run_id: str, name: str) -> Path:
    """The folder in which a part reports: status.json, events.jsonl, log.txt."""
    return ws.run_folder(run_id) / PARTS / name


def keep_needed_keys(root: str, run_id: str) -> None:
    """Drop every secret that the run does not need from this process's environment: a node's may hold any."""
    try:
        spec = read_spec(Workspace(Path(root)).run_folder(run_id))
    except EngineError:
        keyring.use(keyring.CLUSTER)
        return
    keyring.use(names_for(spec.parameters, spec.base, "ray"))


def do_part(
    root: str,
    run_id: str,
    attempt: int,
    name: str,
    part: Mapping[str, Any] | None,
    turn: int = 1,
    *,
    registry: Registry,
) -> dict[str, Any]:
    """Do one part of a run (None: its step as a whole, from what the parts left); return how it ended.

    `part` holds the fields of a Part, `turn` counts the tasks that were given it. Keys: state ("succeeded",
    "cancelled" or "failed"), waves, error, hint, traceback.
    """
    ws = Workspace(Path(root))
    try:
        spec = read_spec(ws.run_folder(run_id))
    except EngineError:
        return _failed(
            f"A node of the cluster does not see {ws.run_folder(run_id)}.",
            "The workspace must lie at the same path on every node: a shared file system.",
        )
    status = Status(state="running", attempt=attempt, launcher="ray")
    mine = Part(**part) if part is not None else None
    reports = reports_of(ws, run_id, name)
    try:
        with RunContext(
            ws,
            spec,
            status=status,
            part=mine,
            reports=reports,
            unwanted=lambda: unwanted(ws, run_id, attempt, name, turn),
        ) as context:
            refuse_other_base(spec.base, spec.base_fingerprint)
            registry.step(ws, spec)(context)
    except PartDone as done:
        return {"state": "succeeded", "waves": done.waves}
    except Cancelled:
        return {"state": "cancelled"}
    except EngineError as error:
        return _failed(error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - the boundary: the traceback travels to the driver's log
        return _failed(f"{type(error).__name__}: {error}", "") | {"traceback": traceback.format_exc()}
    return {"state": "succeeded"}


def unwanted(ws: Workspace, run_id: str, attempt: int, name: str, turn: int) -> bool:
    """Say whether a part is to stop: it was asked to, its run has ended or begun anew, another task has it.

    So nothing is done twice where a driver was killed, or a node was only cut off from the cluster.
    """
    run = read_status(ws.run_folder(run_id))
    if run.attempt > attempt or (run.attempt == attempt and run.state in ENDED):
        return True
    if (ws.run_folder(run_id) / PARTS / STOP).exists():
        return True
    return (read_if_whole(reports_of(ws, run_id, name) / TURN, int) or 0) > turn


def _failed(error: str, hint: str) -> dict[str, Any]:
    return {"state": "failed", "error": error, "hint": hint}
