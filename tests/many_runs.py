"""A long history on disk: many ended runs of a workspace, small but in the format of real ones."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from engine.core.paths import Workspace, write_json
from engine.runs import manifest
from engine.runs.runfolder import RunSpec, State, Status, canonical, write_spec, write_status
from engine.strategies.plan import look, plan

_EXPERIMENTS = ("unified", "per-persona", "hybrid", "prefix", "constrained", "retrieval", "base")
_STATES: tuple[State, ...] = ("succeeded",) * 17 + ("failed", "cancelled", "lost")
_BEGAN = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def leave_history(ws: Workspace, runs: int, *, steps: int = 40) -> list[str]:
    """Leave `runs` ended runs with other seeds and ranks, and a loss curve of `steps`; return their ids."""
    seen, draw, made = look(ws), random.Random(7), []
    specs = {name: plan(ws, name, seen=seen).target.spec for name in _EXPERIMENTS}
    for order in range(1, runs + 1):
        spec = _varied(specs[_EXPERIMENTS[order % len(_EXPERIMENTS)]], order, draw)
        _leave(ws, spec, order=order, state=draw.choice(_STATES), steps=steps, draw=draw)
        made.append(spec.run_id)
    return made


def _varied(spec: RunSpec, order: int, draw: random.Random) -> RunSpec:
    parameters, changed = dict(spec.parameters), ["seed"]
    if "rank" in parameters:
        parameters["rank"] = draw.choice((4, 8, 16, 32))
        changed.append("rank")
    created = (_BEGAN + timedelta(minutes=20 * order)).isoformat()
    estimate = draw.choice((None, 60.0, 240.0))
    return replace(
        spec, parameters=parameters, seed=order, changed=tuple(changed), created_at=created,
        estimate_seconds=estimate,
    )  # fmt: skip


def _leave(
    ws: Workspace, spec: RunSpec, *, order: int, state: State, steps: int, draw: random.Random
) -> None:
    folder = ws.run_folder(spec.run_id)
    folder.mkdir(parents=True)
    level = draw.uniform(0.8, 1.2)
    losses = [
        {"t": 0.5 * step, "kind": "loss", "step": step, "epoch": step // 20, "split": split,
         "loss_nats": level * (0.4 + 2.0 * 0.97**step) + (0.1 if split == "val" else draw.gauss(0, 0.04))}
        for step in range(1, steps + 1)
        for split in ("train", "val")
        if split == "train" or step % 20 == 0
    ]  # fmt: skip
    (folder / "events.jsonl").write_text("".join(f"{canonical(event)}\n" for event in losses))
    (folder / "log.txt").write_text(f"{spec.created_at} {spec.run_id} starts\n")
    seconds = draw.uniform(20, 400)
    ended = (datetime.fromisoformat(spec.created_at) + timedelta(seconds=seconds)).isoformat()
    error = f"The {spec.experiment} of order {order} met no luck." if state == "failed" else None
    status = Status(
        state=state, order=order, attempt=1, progress=1.0 if state == "succeeded" else draw.random(),
        stage="train", seconds=seconds, queued_at=spec.created_at, started_at=spec.created_at,
        ended_at=ended, error=error,
    )  # fmt: skip
    write_status(folder, status)
    write_spec(folder, spec)
    write_json(folder / "summary.json", {"val_loss_nats": level * 0.5, "best_epoch": 2})
    if state == "succeeded":
        manifest.write(ws, spec.run_id)
