"""Groups the personas, for whatever trains or merges by cluster. Makes no variant and scores nothing.

Leaves clusters.json and features.npz in the run's folder and exports data/splits/cluster_map.json, in the
study's form. Who needs a clustering names its run; the export is for other programs.
"""

from typing import Any

import numpy as np

from engine.core.errors import EngineError
from engine.core.paths import write_json
from engine.data.dataset import load_dataset, load_splits
from engine.domains.registry import domain_of
from engine.lm.features import Features, adapter_features, behaviour_features, character_features, joined
from engine.lm.merge import products
from engine.lm.recipes import Shelf, read_personas
from engine.lm.scorer import Scorer
from engine.runs.context import RunContext
from engine.stats.clusters import Clustering, cluster
from engine.strategies.clusterings import FILE
from engine.strategies.steps.sources import Sources, between

FEATURES, EXPORT = "features.npz", "cluster_map.json"


def run(context: RunContext) -> None:
    """Cluster the personas by the features that the parameters name."""
    context.progress("features", 0, 1)
    features = _features(context)
    context.progress("features", 1, 1)
    parameters = context.spec.parameters
    found = cluster(
        features.vectors,
        parameters["k"],
        method=parameters["method"],
        seed=context.spec.seed,
        repeats=parameters["repeats"],
    )
    context.progress("cluster", 1, 1)
    features.save(context.folder / FEATURES)
    record = as_json(features, found, kind=parameters["features"])
    write_json(context.folder / FILE, record)
    write_json(context.workspace.splits / EXPORT, study_form(record))
    told = ("k", "silhouette", "silhouette_shuffled", "stability_ari", "sizes", "warning")
    context.summary(**{name: record[name] for name in told})
    tried = ", ".join(f"k={one.k}: {one.silhouette:.3f}" for one in found.candidates)
    context.log(f"{len(features.personas)} personas by {parameters['features']}; silhouette {tried}")
    context.log(
        f"{found.k} clusters of {', '.join(map(str, found.sizes))}; stability {found.stability:.2f} (ARI)"
    )
    if found.warning:
        context.log(f"Beware: {found.warning}")


def as_json(features: Features, found: Clustering, *, kind: str) -> dict[str, Any]:
    """Return a clustering as the JSON object of clusters.json."""
    personas = features.personas
    return {
        "method": found.method,
        "features": kind,
        "k": found.k,
        "silhouette": found.silhouette,
        "silhouette_shuffled": found.silhouette_shuffled,
        "stability_ari": found.stability,
        "warning": found.warning,
        "sizes": list(found.sizes),
        "candidates": [{"k": one.k, "silhouette": one.silhouette} for one in found.candidates],
        "assignment": dict(zip(personas, found.labels.tolist(), strict=True)),
        "centroids_similarity": dict(zip(personas, found.centrality.tolist(), strict=True)),
        "map": dict(zip(personas, np.round(found.plane, 6).tolist(), strict=True)),
    }


def study_form(record: dict[str, Any]) -> dict[str, Any]:
    """Return a clustering in the form of the study's cluster_map.json."""
    return {
        "n_clusters": record["k"],
        "silhouette_score": record["silhouette"],
        "cluster_map": record["assignment"],
        "cluster_sizes": record["sizes"],
    }


def _features(context: RunContext) -> Features:
    kind = context.spec.parameters["features"]
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    if kind == "adapters":
        return _of_adapters(context)
    parts = []
    if kind in ("character", "both"):
        parts.append(
            character_features(
                dataset,
                splits,
                Scorer(context.workspace),
                on_progress=lambda done, total: context.progress("features", done, total, unit="texts"),
            )
        )
    if kind in ("behaviour", "both"):
        parts.append(behaviour_features(dataset, splits, domain_of(context.workspace)))
    features = parts[0] if len(parts) == 1 else joined(parts)
    missing = len(dataset.personas) - len(splits.unseen) - len(features.personas)
    if missing:
        context.log(f"{missing} personas give nothing to go by and are in no cluster")
    if not features.vectors.shape[1]:
        raise EngineError(
            "The personas cannot be told apart: they do and say the same things.",
            "Choose other features: --set features=character",
        )
    return features


def _of_adapters(context: RunContext) -> Features:
    """The trained adapters of a run as features; a persona's own may be a weighted sum of several."""
    sources = Sources.of(read_personas(context.workspace, context.spec.upstream["adapters"]))
    return adapter_features(sources.personas, between(sources, Shelf(context.workspace), products))
