"""The personas of one cluster. Owns who they are; comparing/pairings.py compares among them."""

from __future__ import annotations

from collections.abc import Mapping

from engine.core.paths import Workspace
from engine.strategies.clusterings import newest_clusters
from engine.strategies.plan import Seen


def clusters(ws: Workspace, seen: Seen) -> Mapping[str, int]:
    """Return the cluster of each persona by the newest clustering on this ground; empty without one."""
    found = newest_clusters(ws, seen)
    return {} if found is None else found.assignment


def personas_of(ws: Workspace, cluster: str | int, seen: Seen) -> frozenset[str] | None:
    """Return the personas of a cluster (a number or "largest"); None for all, nobody where it is unknown."""
    if cluster == "all":
        return None
    found = newest_clusters(ws, seen)
    if found is None:
        return frozenset()
    largest = max(found.sizes, key=lambda number: (found.sizes[number], -number), default=None)
    wanted = largest if cluster == "largest" else cluster
    return frozenset(name for name, number in found.assignment.items() if number == wanted)
