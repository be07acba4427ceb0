"""The personas of one cluster. Owns who they are; comparing/pairings.py compares among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.strategies.plan import Seen

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


def _assignment(ws: Workspace, run_id: str) -> Mapping[str, Any]:
    found = read_json(integrity.result(ws, run_id, _FILE))["assignment"]
    if not isinstance(found, dict):
        raise TypeError("its assignment is no mapping")
    return found
