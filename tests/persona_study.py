"""A study with a clustering, routes, a merge and retrieved memories, for tests of what is shown of a persona.

The runs are the registry's own, planned as always; their results are drawn from hashes, as in sample_study.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from engine.core.paths import Workspace, read_json, write_json
from engine.data import load_dataset
from engine.runs import manifest
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec, Status, now, write_spec
from engine.strategies.plan import plan
from tests.sample_study import _share, finish, prepare_world

CLUSTERS = 3


def make_study(root: Path, *, personas: int = 6, dialogues: int = 8, per_persona: int = 4) -> Workspace:
    """Prepare a world and leave unified, retrieval, the ceiling, a clustering, routes and a merge."""
    ws = prepare_world(root, personas=personas, dialogues=dialogues)
    finish(ws, "unified", "retrieval", "ceiling", per_persona=per_persona)
    leave_clusters(ws)
    leave_routes(ws)
    leave_merge(ws)
    return ws


def leave_clusters(ws: Workspace) -> str:
    """Leave a finished clustering whose cluster is the persona's number modulo three; return its run."""
    names = _personas(ws)
    assignment = {name: number % CLUSTERS for number, name in enumerate(names)}
    angle = {name: 2 * math.pi * assignment[name] / CLUSTERS for name in names}
    record = {
        "method": "kmeans",
        "features": "behaviour",
        "k": CLUSTERS,
        "silhouette": 0.31,
        "warning": None,
        "assignment": assignment,
        "centroids_similarity": {name: round(0.5 + 0.4 * _share(name), 4) for name in names},
        "map": {
            name: [math.cos(angle[name]) + _share(name), math.sin(angle[name]) + _share(f"{name}y")]
            for name in names
        },
    }
    spec = plan(ws, "clustering", {"k": [CLUSTERS]}).target.spec
    return _leave(ws, spec, {"clusters.json": record})


def leave_routes(ws: Workspace) -> str:
    """Leave routes between unified and retrieval with three memories, chosen by val means; return the run."""
    unified, retrieval = (plan(ws, name).target for name in ("unified", "retrieval"))
    tables = {
        "unified": _scores(ws, unified.run_id, "unified"),
        "unified+retrieval-3": _scores(ws, retrieval.run_id, "unified+retrieval-3"),
    }
    val = {name: table[table["split"] == "val"] for name, table in tables.items()}
    means = {name: table.groupby("persona_id")["embedding_similarity"].mean() for name, table in val.items()}
    gains = means["unified+retrieval-3"] - means["unified"]
    goes = {name: "unified+retrieval-3" if gain > 0 else "unified" for name, gain in gains.items()}
    runs = {"unified": unified.run_id, "unified+retrieval-3": retrieval.run_id}
    spec = plan(ws, "routing", {"among": ["unified", "retrieval"]}).target.spec
    record = {
        "metric": "embedding_similarity",
        "margin": 0.0,
        "fallback": "unified",
        "candidates": {name: {"run": run, "recipe": _recipe(ws, run, name)} for name, run in runs.items()},
        "routes": {
            name: {"variant": goes[name], "gain_val": max(0.0, float(gain))} for name, gain in gains.items()
        },
    }
    rows = pd.concat(
        [
            table[[goes.get(name) == variant for name in table["persona_id"]]]
            for variant, table in tables.items()
        ]
    )
    return _leave(
        ws, spec, {"routes.json": record}, rows=rows.assign(variant="routing"),
        recipe={"route": spec.run_id}, family="routing",
    )  # fmt: skip


def leave_merge(ws: Workspace) -> str:
    """Leave a merge by nearness in the cluster whose replies are unified's; return its run."""
    names = _personas(ws)
    planned = plan(ws, "merge-moe")
    weights = {
        name: {name: 0.6, names[(number + 1) % len(names)]: 0.3, names[(number + 2) % len(names)]: 0.1}
        for number, name in enumerate(names)
    }
    record = {
        "method": "moe",
        "combine": "exact",
        "merges": {
            f"moe-{name}": {"effective_adapters": 2.17, "weights": shares} for name, shares in weights.items()
        },
        "assignment": {name: f"moe-{name}" for name in names},
    }
    rows = _scores(ws, plan(ws, "unified").target.run_id, "unified")
    return _leave(
        ws, planned.target.spec, {"weights.json": record}, rows=rows.assign(variant="merge-moe"),
        recipe={"adapters": [{"run": planned.target.run_id}]}, family="merge",
    )  # fmt: skip


def with_memories(ws: Workspace, persona_id: str, request: str, reply: str) -> None:
    """Say in the retrieval run's scores that one earlier interaction was shown to this persona's variants."""
    run_id = plan(ws, "retrieval").target.run_id
    path = ws.run_folder(run_id) / "scores.parquet"
    table = pd.read_parquet(path)
    memory = {"request": request, "reply": reply, "example_id": f"{persona_id}/0001#3", "similarity": 0.91}
    table["retrieved"] = [
        json.dumps([memory]) if name == persona_id else None for name in table["persona_id"]
    ]
    table.to_parquet(path)
    manifest.write(ws, run_id)


def _leave(
    ws: Workspace,
    spec: RunSpec,
    files: Mapping[str, Any],
    *,
    rows: pd.DataFrame | None = None,
    recipe: Mapping[str, Any] | None = None,
    family: str = "",
) -> str:
    folder = ws.run_folder(spec.run_id)
    folder.mkdir(parents=True)
    order = len(list(ws.runs.glob("*")))
    began = Status(state="running", order=order, attempt=1, started_at=now(), seconds=3.0)
    with RunContext(ws, spec, status=began) as context:
        for name, value in files.items():
            write_json(folder / name, value)
        if rows is not None and recipe is not None:
            protocol = context.protocol({**spec.protocol, "scorer": "sample"})
            context.variant(str(rows["variant"].iloc[0]), dict(recipe), family=family)
            rows.assign(protocol=protocol).to_parquet(folder / "scores.parquet")
    context.end("succeeded")
    write_spec(folder, spec)
    manifest.write(ws, spec.run_id)
    return spec.run_id


def _scores(ws: Workspace, run_id: str, variant: str) -> pd.DataFrame:
    table = pd.read_parquet(ws.run_folder(run_id) / "scores.parquet")
    return table[table["variant"] == variant]


def _recipe(ws: Workspace, run_id: str, variant: str) -> dict[str, Any]:
    done = read_json(ws.run_folder(run_id) / manifest.NAME)
    found: dict[str, Any] = next(entry["recipe"] for entry in done["variants"] if entry["name"] == variant)
    return found


def _personas(ws: Workspace) -> list[str]:
    return [persona.persona_id for persona in load_dataset(ws).personas]
