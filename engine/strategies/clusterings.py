"""clusters.json: what a clustering leaves, read and checked in one place. Clusters nobody.

Whoever needs a certain clustering names its run; screens and trees take the newest on this ground.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_record
from engine.strategies.plan import Seen

CLUSTERING, FILE = "clustering", "clusters.json"


class Clusters(BaseModel):
    """One clustering: its run, by what it grouped, each persona's cluster, place and likeness to the centre.

    `places` are the first two principal axes of the features. `silhouette` is None for a single cluster.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    assignment: Mapping[str, int]
    k: int | None = None
    features: str = ""
    places: Mapping[str, tuple[float, float]] = Field({}, alias="map")
    likeness: Mapping[str, float] = Field({}, alias="centroids_similarity")
    silhouette: float | None = None
    stability: float | None = Field(None, alias="stability_ari")
    warning: str | None = None
    run_id: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, told in (("map", self.places), ("centroids_similarity", self.likeness)):
            if told and told.keys() != self.assignment.keys():
                raise ValueError(f"{name} is not about the personas of its assignment")
        return self

    @property
    def sizes(self) -> dict[int, int]:
        """How many personas each cluster has, by its number."""
        return dict(sorted(Counter(self.assignment.values()).items()))


def read_clusters(ws: Workspace, run_id: str) -> Clusters:
    """Return the clustering that a run left. Raises EngineError when its file is gone, torn or no such."""
    again = "Run it again: delete its folder first."
    try:
        found = read_record(integrity.result(ws, run_id, FILE), Clusters, hint=again)
    except FileNotFoundError as error:
        raise EngineError(f"{run_id} left no {FILE}.", again) from error
    return found.model_copy(update={"run_id": run_id})


def newest_clusters(ws: Workspace, seen: Seen) -> Clusters | None:
    """Return the newest finished clustering on this ground, None without one; raises as `read_clusters`."""
    done = [
        (record.status.ended_at or "", record.order, record.run_id)
        for record in seen.records
        if record.experiment == CLUSTERING
        and record.state == "succeeded"
        and record.spec is not None
        and seen.ground.carries(record.spec)
    ]
    return read_clusters(ws, max(done)[2]) if done else None
