"""clusters.json: what a clustering leaves, read and checked in one place. Clusters nobody.

Whoever needs a certain clustering names its run; screens and trees take the newest on this ground.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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

    def of(self, personas: Sequence[str], *, only: int | None = None) -> dict[str, int]:
        """Return the cluster of each persona; those of `only` one where it is given.

        Raises EngineError where one is in no cluster, and where there is none of that number.
        """
        refuse_incomplete(self.run_id, personas, self.assignment)
        found = {persona: self.assignment[persona] for persona in personas}
        known = sorted(set(found.values()))
        if only is not None and only not in known:
            raise EngineError(f"There is no cluster {only}.", f"Clusters: {', '.join(map(str, known))}.")
        return {persona: cluster for persona, cluster in found.items() if only in (None, cluster)}


def refuse_incomplete(run_id: str, personas: Sequence[str], known: Collection[str]) -> None:
    """Raise EngineError where a clustering does not know all of these personas."""
    missing = [persona for persona in personas if persona not in known]
    if missing:
        raise EngineError(
            f"{run_id} leaves out {len(missing)} personas, {missing[0]} among them.",
            "Cluster again, by features that every persona has: python -m engine run clustering",
        )


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
