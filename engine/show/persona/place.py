"""Where the personas lie on the map of the newest clustering. Reads clusters.json; clusters nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.runs.runfolder import RunSpec
from engine.strategies.ground import Ground
from engine.strategies.plan import Seen

_CLUSTERING, _FILE = "clustering", "clusters.json"


@dataclass(frozen=True, slots=True)
class Clusters:
    """One clustering: its run, by what it grouped, each persona's cluster, place and likeness to the centre.

    `places` are the first two principal axes of the features. `silhouette` is None for a single cluster.
    """

    run_id: str
    features: str
    assignment: Mapping[str, int]
    places: Mapping[str, tuple[float, float]]
    likeness: Mapping[str, float]
    silhouette: float | None
    warning: str | None

    @property
    def sizes(self) -> dict[int, int]:
        """How many personas each cluster has, by its number."""
        return dict(sorted(Counter(self.assignment.values()).items()))


def newest_clusters(ws: Workspace, seen: Seen) -> Clusters | None:
    """Return the newest finished clustering on this ground, None without one.

    Raises EngineError when its clusters.json is torn.
    """
    done = [
        (record.status.ended_at or "", record.order, record.run_id)
        for record in seen.records
        if record.state == "succeeded" and _is_clustering(record.spec, seen.ground)
    ]
    return read_clusters(ws, max(done)[2]) if done else None


def read_clusters(ws: Workspace, run_id: str) -> Clusters:
    """Return the clustering that a run left. Raises EngineError when its file is torn or gone."""
    try:
        found: dict[str, Any] = read_json(integrity.result(ws, run_id, _FILE))
        return Clusters(
            run_id=run_id,
            features=str(found["features"]),
            assignment={str(name): int(number) for name, number in found["assignment"].items()},
            places={str(name): (float(x), float(y)) for name, (x, y) in found["map"].items()},
            likeness={str(name): float(value) for name, value in found["centroids_similarity"].items()},
            silhouette=found.get("silhouette"),
            warning=found.get("warning"),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise EngineError(
            f"The clusters of {run_id} cannot be read: {error}",
            "Run it again: delete its folder first.",
        ) from error


def _is_clustering(spec: RunSpec | None, ground: Ground) -> bool:
    return spec is not None and spec.experiment == _CLUSTERING and ground.carries(spec)
