"""The same runs here and on a Ray cluster of which a node is killed: the tables side by side.

    .venv/bin/python bench/cluster.py                 a head and two workers on this machine
    .venv/bin/python bench/cluster.py --write         and put the table into docs/ray.md
    .venv/bin/python bench/cluster.py --workers 1,2 --personas 2000     how time falls with workers

Times of the first are of one machine pretending to be three, so they say what dividing costs, not what a
cluster saves. In the second each worker has one processor; per-persona alone is run, and told is what of its
seconds divides (waves, replies) and what does not.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.reliability import alone, end_all, options, study, tell
from engine.core.machine import Machine
from engine.core.paths import REPOSITORY, Workspace, write_json
from engine.results.comparing.comparison import compare_variants
from engine.runs import jobs
from engine.runs.records import find
from engine.runs.runfolder import read_events, read_status

EXPERIMENTS: dict[str, dict[str, Any]] = {
    "unified": {"epochs": 2},
    "per-persona": {"epochs": 4, "batch_size": 1},
}
KILLED_IN = "per-persona"
PAGE = REPOSITORY / "docs" / "ray.md"
WORKERS = 2
_WAIT_SECONDS = 3600.0


def do(ws: Workspace, machine: Machine, begun: Callable[[str, Path], None]) -> dict[str, Any]:
    """Do the study's runs one after the other; return how long each took and what it left.

    `begun` is called with the experiment and the run's folder once the run is there.
    """
    done = {}
    for name, parameters in EXPERIMENTS.items():
        began = time.monotonic()
        run_id = jobs.submit(ws, alone(ws, name, parameters), machine=machine)[0].record.run_id
        begun(name, ws.run_folder(run_id))
        (record,) = jobs.wait(ws, [run_id], timeout_seconds=_WAIT_SECONDS)
        if record.state != "succeeded":
            raise SystemExit(f"{run_id} {record.state}: {record.error}")
        done[name] = {"run_id": run_id, "seconds": time.monotonic() - began, **left(ws, run_id)}
    return done


def left(ws: Workspace, run_id: str) -> dict[str, Any]:
    """Return a run's results: each adapter's file, the scores without the times, the parts it lost."""
    from engine.runs import answers

    folder = ws.adapters(run_id)
    table = answers.read(ws, run_id).wide().drop(columns="seconds")
    return {
        "adapters": {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")
        },
        "scores": table.sort_values(["variant", "split", "example_id"]).reset_index(drop=True),
        "lost": sum(event["kind"] == "lost" for event in read_events(ws.run_folder(run_id))),
    }


def measure(personas: int) -> dict[str, Any]:
    """Do the study here and on the cluster; return the comparison."""
    from ray.cluster_utils import Cluster

    os.environ |= {
        "OMP_NUM_THREADS": "1",  # as many as a task has
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300",
        "RAY_worker_niceness": "0",  # the same share of this machine as the local run
    }
    with study(personas=personas, dialogues=12) as here, tempfile.TemporaryDirectory() as scratch:
        there = Workspace(Path(scratch) / "workspace")
        shutil.copytree(here.root, there.root)
        (run,) = alone(here, KILLED_IN, EXPERIMENTS[KILLED_IN]).runs
        # In as many waves as on the cluster: sums are rounded otherwise where others are packed beside them.
        waves = here.run_folder(run.run_id) / "checkpoint" / "waves.json"
        write_json(waves, {"size": -(-personas // WORKERS)})
        local = do(here, Machine(), lambda *_: None)
        shutil.copy(here.data / "kernels.json", there.data / "kernels.json")  # from timing; of the protocol
        cluster = Cluster()
        try:
            cluster.add_node(num_cpus=0, include_dashboard=False)
            for _ in range(WORKERS):
                cluster.add_node(num_cpus=1)
            machine = Machine(launcher="ray", ray_address=cluster.address)
            try:
                remote = do(
                    there, machine, lambda name, run: _kill(cluster, run) if name == KILLED_IN else None
                )
            finally:
                end_all(there)
        finally:
            cluster.shutdown()
        rows = [_row(name, local[name], remote[name]) for name in EXPERIMENTS]
        return {"rows": rows, "tables": {"here": _table(here), "ray": _table(there)}}


DIVIDES = ("wave-", "replies-")
"""Parts whose number grows with the tasks; the others are done once."""
SHORT = {"epochs": 1, "examples_per_persona": 1, "max_new_tokens": 16}


def falls(personas: int, workers: Sequence[int]) -> list[dict[str, Any]]:
    """Train and answer per-persona on one cluster for each number of `workers`; return where its seconds go.

    Every cluster starts from the same study, whose base is scored and whose kernels are chosen.
    """
    from ray.cluster_utils import Cluster

    os.environ |= {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    rows = []
    with study(personas=personas, dialogues=6) as origin, tempfile.TemporaryDirectory() as scratch:
        for number in workers:
            ws = Workspace(Path(scratch) / f"workspace-{number}")
            shutil.copytree(origin.root, ws.root)
            cluster = Cluster()
            try:
                cluster.add_node(num_cpus=0, include_dashboard=False)
                for _ in range(number):
                    cluster.add_node(num_cpus=1)
                rows.append(_timed(ws, Machine(launcher="ray", ray_address=cluster.address)))
            finally:
                end_all(ws)
                cluster.shutdown()
            rows[-1]["workers"] = number
    return rows


def _timed(ws: Workspace, machine: Machine) -> dict[str, Any]:
    """Run per-persona; return its seconds, and those of its parts side by side and alone."""
    began = time.monotonic()
    run_id = jobs.submit(ws, alone(ws, KILLED_IN, SHORT), machine=machine)[0].record.run_id
    parts: dict[str, float] = {}
    while find(ws, run_id).state in ("queued", "running"):
        for path in ws.run_folder(run_id).glob("parts/*/status.json"):
            parts[path.parent.name] = read_status(path.parent).seconds  # the folder goes with the run's end
        time.sleep(0.2)
    record = find(ws, run_id)
    if record.state != "succeeded":
        raise SystemExit(f"{run_id} {record.state}: {record.error}")
    sides = {kind: [took for name, took in parts.items() if name.startswith(kind)] for kind in DIVIDES}
    once = sum(took for name, took in parts.items() if not name.startswith(DIVIDES))
    seconds = time.monotonic() - began
    longest = sum(max(took, default=0.0) for took in sides.values())
    return {
        "seconds": seconds, "tasks": sum(map(sum, sides.values())), "longest": longest, "once": once,
        "rest": seconds - longest - once,
    }  # fmt: skip


def falls_page(rows: Sequence[dict[str, Any]], command: str) -> str:
    """Return the table of how time falls with workers."""
    first = rows[0]
    lines = [
        f"One worker is one processor of a machine of {os.cpu_count()} cores. Made by",
        "",
        f"    {command}",
        "",
        "| workers | whole, s | ratio | work in divided tasks, s | longest of them, s | done once, s "
        "| starting tasks and waiting, s |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['workers']} | {row['seconds']:.0f} | {first['seconds'] / row['seconds']:.2f} "
            f"| {row['tasks']:.0f} | {row['longest']:.0f} | {row['once']:.0f} | {row['rest']:.0f} |"
            for row in rows
        ),
    ]
    return "\n".join(lines)


def _kill(cluster: Any, run: Path) -> None:
    """Kill the node that trains the first wave, once it has done some steps."""
    until = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < until:
        for wave in run.glob("parts/wave-*"):
            if sum(event["kind"] == "loss" for event in read_events(wave)) >= 5:
                cluster.remove_node(_node_of(cluster, read_status(wave).worker), allow_graceful=False)
                return
        time.sleep(0.1)
    raise SystemExit(f"{run.name} was never trained in waves.")


def _node_of(cluster: Any, worker: Any) -> Any:
    """Return the node whose process started that worker."""
    parent = int(Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[1])
    for node in cluster.list_all_nodes():
        if any(info.process.pid == parent for info in node.all_processes["raylet"]):
            return node
    raise SystemExit(f"No node has started process {worker.pid}.")


def _row(name: str, here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    scores, others = here["scores"], there["scores"]
    same = len(scores) == len(others)
    return {
        "experiment": name,
        "same_run_id": here["run_id"] == there["run_id"],
        "seconds_here": here["seconds"],
        "seconds_ray": there["seconds"],
        "adapters": len(here["adapters"]),
        "adapters_equal": sum(there["adapters"].get(path) == one for path, one in here["adapters"].items()),
        "replies": len(scores),
        "replies_equal": int((scores["reply"] == others["reply"]).sum()) if same else 0,
        "scores_equal": bool(scores.equals(others)),
        "parts_lost": there["lost"],
    }


def _table(ws: Workspace) -> list[dict[str, Any]]:
    rows = compare_variants(ws, reference="unified")["rows"]
    return [{key: row[key] for key in ("variant", "mean", "delta")} for row in rows if "mean" in row]


def page(found: dict[str, Any], command: str) -> str:
    """Return the bench's part of docs/ray.md."""
    lines = [
        f"A head and two workers on one machine of {os.cpu_count()} cores; one worker is killed while "
        f"{KILLED_IN} trains. Made by",
        "",
        f"    {command}",
        "",
        "| run | s here | s on Ray | adapters equal byte for byte | replies equal | all scores equal "
        "| parts lost and done again |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['experiment']} | {row['seconds_here']:.0f} | {row['seconds_ray']:.0f} "
            f"| {row['adapters_equal']} of {row['adapters']} | {row['replies_equal']} of {row['replies']} "
            f"| {'yes' if row['scores_equal'] else 'NO'} | {row['parts_lost']} |"
            for row in found["rows"]
        ),
        "",
        "| variant | here: mean | delta to unified | on Ray: mean | delta to unified |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {ours['variant']} | {ours['mean']:.4f} | {_points(ours)} "
            f"| {theirs['mean']:.4f} | {_points(theirs)} |"
            for ours, theirs in zip(found["tables"]["here"], found["tables"]["ray"], strict=True)
        ),
    ]
    return "\n".join(lines)


def _points(row: dict[str, Any]) -> str:
    return "-" if row["delta"] is None else f"{100 * row['delta']:+.2f}"


def main() -> None:
    made = options(__doc__, PAGE)
    made.add_argument("--personas", type=int, default=8)
    made.add_argument("--workers", type=_numbers, help="Numbers of workers: how time falls with them.")
    given = made.parse_args()
    if given.workers:
        rows = falls(given.personas, given.workers)
        told = ",".join(map(str, given.workers))
        command = f".venv/bin/python bench/cluster.py --workers {told} --personas {given.personas} --write"
        tell(given, "workers", rows, falls_page(rows, command), page=PAGE)
        return
    found = measure(given.personas)
    text = page(found, f".venv/bin/python bench/cluster.py --personas {given.personas} --write")
    tell(given, "cluster", found, text, page=PAGE)
    sys.exit(not all(map(_good, found["rows"])))


def _numbers(words: str) -> list[int]:
    return [int(word) for word in words.split(",")]


def _good(row: dict[str, Any]) -> bool:
    equal = row["adapters_equal"] == row["adapters"] and row["scores_equal"] and row["same_run_id"]
    return equal and (row["parts_lost"] == 1) == (row["experiment"] == KILLED_IN)


if __name__ == "__main__":
    main()
