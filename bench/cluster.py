"""The same run here and on a Ray cluster of which a node is killed: the tables side by side.

    .venv/bin/python bench/cluster.py                 a head and two workers on this machine
    .venv/bin/python bench/cluster.py --write         and put the table into docs/ray.md

Times are of one machine pretending to be three, so they say what dividing costs, not what a cluster saves.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.reliability import alone, study, write_part  # noqa: E402
from engine import jobs  # noqa: E402
from engine.comparing.comparison import compare_variants  # noqa: E402
from engine.machine import Machine  # noqa: E402
from engine.paths import REPOSITORY, Workspace  # noqa: E402
from engine.runfolder import read_events, read_status  # noqa: E402

EXPERIMENTS = {
    "unified": {"epochs": 2},
    "per-persona": {"epochs": 4, "batch_size": 1},
    "hybrid": {"epochs": 4, "batch_size": 1},
}
KILLED_IN = "per-persona"
WEIGHTS_APART = 1e-4
_WAIT_SECONDS = 3600.0


def do(ws: Workspace, machine: Machine, when_training: Callable[[Path], None]) -> dict[str, Any]:
    """Do the study's runs one after the other; return how long each took and what it left."""
    done = {}
    for name, parameters in EXPERIMENTS.items():
        began = time.monotonic()
        run_id = jobs.submit(ws, alone(ws, name, parameters), machine=machine)[0].record.run_id
        if name == KILLED_IN:
            when_training(ws.run_folder(run_id))
        (record,) = jobs.wait(ws, [run_id], timeout_seconds=_WAIT_SECONDS)
        if record.state != "succeeded":
            raise SystemExit(f"{run_id} {record.state}: {record.error}")
        done[name] = {"run_id": run_id, "seconds": time.monotonic() - began, **left(ws, run_id)}
    return done


def left(ws: Workspace, run_id: str) -> dict[str, Any]:
    """Return a run's results: the hash of each adapter, its scores without the times, the parts it lost."""
    import pandas as pd
    from safetensors.numpy import load_file

    folder = ws.adapters(run_id)
    table = pd.read_parquet(ws.run_folder(run_id) / "scores.parquet").drop(columns="seconds")
    table = table.sort_values(["variant", "split", "example_id"]).reset_index(drop=True)
    lost = [event for event in read_events(ws.run_folder(run_id)) if event["kind"] == "lost"]
    return {
        "adapters": {
            str(path.relative_to(folder)): load_file(path) for path in folder.rglob("*.safetensors")
        },
        "scores": table,
        "lost": len(lost),
    }


def measure(personas: int) -> dict[str, Any]:
    """Do the study here and on the cluster; return the comparison."""
    from ray.cluster_utils import Cluster

    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300",
    }
    cluster = Cluster()
    with study(personas=personas, dialogues=12) as here, tempfile.TemporaryDirectory() as scratch:
        there = Workspace(Path(scratch) / "workspace")
        shutil.copytree(here.root, there.root)
        local = do(here, Machine(), lambda _: None)
        shutil.copy(
            here.data / "kernels.json", there.data / "kernels.json"
        )  # timing, and part of the protocol
        try:
            cluster.add_node(num_cpus=0, include_dashboard=False)
            workers = [cluster.add_node(num_cpus=1) for _ in range(2)]
            machine = Machine(launcher="ray", ray_address=cluster.address)
            remote = do(there, machine, lambda folder: _kill(cluster, workers[0], folder))
        finally:
            cluster.shutdown()
        rows = [_row(name, local[name], remote[name]) for name in EXPERIMENTS]
        return {"rows": rows, "tables": {"here": _table(here), "ray": _table(there)}}


def _kill(cluster: Any, node: Any, folder: Path) -> None:
    """Kill a node once both waves are at it."""
    until = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < until:
        if all(read_status(folder / "parts" / f"wave-{n}").done > n + 2 for n in range(2)):
            cluster.remove_node(node, allow_graceful=False)
            return
        time.sleep(0.1)
    raise SystemExit(f"{folder.name} never trained in two waves.")


def _row(name: str, here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    scores, others = here["scores"], there["scores"]
    difference = (scores["embedding_similarity"] - others["embedding_similarity"]).abs().max()
    return {
        "experiment": name,
        "same_run_id": here["run_id"] == there["run_id"],
        "seconds_here": here["seconds"],
        "seconds_ray": there["seconds"],
        "adapters": len(there["adapters"]),
        "weights_apart": _apart(here["adapters"], there["adapters"]),
        "replies": len(scores),
        "replies_equal": int((scores["reply"] == others["reply"]).sum()),
        "scores_apart": float(difference),
        "parts_lost": there["lost"],
    }


def _apart(here: dict[str, Any], there: dict[str, Any]) -> float:
    """Return the largest difference of any weight; infinite where the adapters are not the same ones."""
    if here.keys() != there.keys():
        return float("inf")
    return max(
        float(abs(tensor - there[path][name]).max()) for path in here for name, tensor in here[path].items()
    )


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
        "| run | s here | s on Ray | adapters | weights apart, at most | replies equal "
        "| scores apart, at most | parts lost and done again |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['experiment']} | {row['seconds_here']:.0f} | {row['seconds_ray']:.0f} "
            f"| {row['adapters']} | {row['weights_apart']:.1e} | {row['replies_equal']} of {row['replies']} "
            f"| {row['scores_apart']:.1e} | {row['parts_lost']} |"
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
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--personas", type=int, default=8)
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    made.add_argument("--write", action="store_true", help="Write docs/ray.md too.")
    given = made.parse_args()
    found = measure(given.personas)
    text = page(found, f".venv/bin/python bench/cluster.py --personas {given.personas} --write")
    print(json.dumps(found, indent=2) if given.json else text)
    if given.write:
        write_part("cluster", text, page=REPOSITORY / "docs" / "ray.md")
    bad = [row for row in found["rows"] if row["weights_apart"] > WEIGHTS_APART or not row["same_run_id"]]
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
