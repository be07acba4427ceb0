"""A run that is killed and resumed beside the same run left alone: equal bit for bit, or not.

    .venv/bin/python bench/resumed.py                      kill -9 in training and in answering, twice
    .venv/bin/python bench/resumed.py --write              and put the table into docs/reliability.md

Each run is done twice from the same study. Once its worker is killed with SIGKILL in the middle of training,
resumed, killed again in the middle of answering, and resumed; once it is left alone. Compared are the files
of the adapters byte for byte, and every reply and score save the seconds it took.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.reliability import alone, end_all, options, results_of, study, tell
from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import find
from engine.runs.runfolder import read_events, read_status
from engine.strategies.plan import Plan

EVALUATION = {"examples_per_persona": 16, "max_new_tokens": 24}
RUNS: dict[str, dict[str, Any]] = {
    "unified": {"epochs": 8, "batch_size": 1},
    "per-persona": {"epochs": 8, "batch_size": 1},
}
KILL_AFTER_STEPS = 10
WAIT_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Pair:
    """One run done twice. `steps` is where training was killed, `replies` how many batches were answered."""

    run_id: str
    steps: int
    replies: int
    attempts: int
    files: dict[str, tuple[str, str]]

    @property
    def equal(self) -> bool:
        return bool(self.files) and all(left == right for left, right in self.files.values())


def hurt(ws: Workspace, planned: Plan) -> tuple[int, int]:
    """Do a run that is killed in training and in answering; return where."""
    run_id = jobs.submit(ws, planned)[0].record.run_id
    folder = ws.run_folder(run_id)

    def steps() -> int:
        return max((one["step"] for one in read_events(folder) if one["kind"] == "loss"), default=0)

    def batches() -> int:
        kept = list(folder.glob("replies-*.jsonl"))
        return kept[0].read_text(encoding="utf-8").count("\n") if kept else 0

    _kill(ws, run_id, lambda: steps() >= KILL_AFTER_STEPS)
    killed_at = steps()
    jobs.resume(ws, run_id)
    _kill(ws, run_id, lambda: batches() >= 1)
    answered = batches()
    if (folder / "scores.parquet").exists():
        raise SystemExit(f"{run_id} had been answered before the kill.")
    jobs.resume(ws, run_id)
    return killed_at, answered


def _kill(ws: Workspace, run_id: str, when: Callable[[], bool]) -> None:
    _until(when)
    worker = read_status(ws.run_folder(run_id)).worker
    if worker is None or find(ws, run_id).state != "running":
        raise SystemExit(f"{run_id} had ended before it could be killed.")
    os.kill(worker.pid, signal.SIGKILL)
    _until(lambda: find(ws, run_id).state == "lost" and read_status(ws.run_folder(run_id)).signal is not None)


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > until:
            raise SystemExit("It did not come true in time.")
        time.sleep(0.01)


def measure() -> dict[str, Any]:
    """Do every run twice and compare; return what docs and --json show."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with study() as ws, tempfile.TemporaryDirectory(prefix="persona-lab-bench-") as scratch:
        quiet = Workspace(Path(scratch) / "workspace")
        shutil.copytree(ws.root, quiet.root)
        pairs = [_pair(quiet, ws, name, settings) for name, settings in RUNS.items()]
        end_all(quiet)
    return {"pairs": [{**asdict(pair), "equal": pair.equal} for pair in pairs]}


def _pair(quiet: Workspace, ws: Workspace, name: str, settings: dict[str, Any]) -> Pair:
    planned = alone(quiet, name, {**settings, **EVALUATION})
    run_id = planned.target.run_id
    _succeed(quiet, jobs.submit(quiet, planned)[0].record.run_id)
    if (quiet.data / "kernels.json").exists():  # a matter of timing, and part of the protocol
        shutil.copy(quiet.data / "kernels.json", ws.data / "kernels.json")
    steps, replies = hurt(ws, alone(ws, name, {**settings, **EVALUATION}))
    _succeed(ws, run_id)
    left, right = results_of(quiet, run_id), results_of(ws, run_id)
    files = {key: (left.get(key, "-"), right.get(key, "-")) for key in sorted({*left, *right})}
    return Pair(run_id, steps, replies, find(ws, run_id).status.attempt, files)


def _succeed(ws: Workspace, run_id: str) -> None:
    (ended,) = jobs.wait(ws, [run_id], timeout_seconds=WAIT_SECONDS)
    if ended.state != "succeeded":
        raise SystemExit(f"{run_id} {ended.state}: {ended.error}")


def page(found: dict[str, Any], command: str) -> str:
    """Return this bench's part of the page: the first 16 digits of each sha256."""
    lines = [
        f"Made by `{command}`: the sha256 of each adapter's file, and of all replies and scores without the "
        "seconds they took.",
        "",
        "| run | killed at | starts | what | left alone | killed and resumed | equal |",
        "|---|---|---:|---|---|---|---|",
    ]
    for pair in found["pairs"]:
        where = f"step {pair['steps']}, batch {pair['replies']} of replies"
        for what, (left, right) in pair["files"].items():
            same = "yes" if left == right else "**no**"
            run = f"| {pair['run_id']} | {where} | {pair['attempts']} "
            lines.append(f"{run}| {what} | `{left[:16]}` | `{right[:16]}` | {same} |")
    return "\n".join(lines)


def main() -> None:
    made = options(__doc__)
    given = made.parse_args()
    found = measure()
    tell(given, "resumed", found, page(found, ".venv/bin/python bench/resumed.py --write"))
    sys.exit(not all(pair["equal"] for pair in found["pairs"]))


if __name__ == "__main__":
    main()
