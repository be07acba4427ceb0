"""A study seen for the personas of one cluster. Owns who they are and the comparison among them.

The comparison's functions are those of the whole study; only the rows of other personas are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from engine import store
from engine.errors import EngineError
from engine.experiments.plan import Seen
from engine.paths import Workspace, read_json
from engine.stats.compare import leaderboard

CLUSTERING = "clustering"
_FILE = "clusters.json"


def clusters(ws: Workspace, seen: Seen) -> Mapping[str, int]:
    """Return the cluster of each persona by the newest clustering on this ground; empty without one."""
    done = [
        record
        for record in seen.records
        if record.experiment == CLUSTERING
        and record.state == "succeeded"
        and record.spec is not None
        and seen.ground.carries(record.spec)
    ]
    if not done:
        return {}
    newest = max(done, key=lambda record: (record.status.ended_at or "", record.order))
    try:
        return {str(name): int(number) for name, number in _assignment(ws, newest.run_id).items()}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise EngineError(
            f"The clusters of {newest.run_id} cannot be read: {error}",
            "Run it again: delete its folder first.",
        ) from error


def personas_of(ws: Workspace, cluster: str | int, seen: Seen) -> frozenset[str] | None:
    """Return the personas of a cluster (a number or "largest"); None for all, nobody where it is unknown."""
    if cluster == "all":
        return None
    assigned = clusters(ws, seen)
    sizes = Counter(assigned.values())
    wanted = (
        min(sizes, key=lambda number: (-sizes[number], number)) if cluster == "largest" and sizes else cluster
    )
    return frozenset(name for name, number in assigned.items() if number == wanted)


def compare_within(ws: Workspace, found: Mapping[str, Any], personas: Collection[str]) -> dict[str, Any]:
    """Return the same table of comparisons over some personas only: same protocol, metric and reference."""
    scores = store.score_table(ws, metric=found["metric"], split=found["split"], protocol=found["protocol"])
    scores = scores[scores["persona_id"].isin(list(personas))]
    if scores.empty:
        return {**found, "rows": []}
    described = {row["variant"]: row for row in found["rows"]}
    tables = {
        str(name): [
            (example, persona, None if pd.isna(value) else float(value))
            for example, persona, value in zip(
                table["example_id"], table["persona_id"], table["value"], strict=True
            )
        ]
        for name, table in scores.groupby("variant", sort=False)
        if name in described
    }
    rows = leaderboard(tables, reference=found["reference"])
    return {**found, "rows": [{**described[row.variant], **row.as_json()} for row in rows]}


def _assignment(ws: Workspace, run_id: str) -> Mapping[str, Any]:
    found = read_json(ws.run_folder(run_id) / _FILE)["assignment"]
    if not isinstance(found, dict):
        raise TypeError("its assignment is no mapping")
    return found
