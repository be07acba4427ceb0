"""The experiments that build on what others trained or scored: clustering, merging and routing.

Declarations only; catalog.py is the registry that takes them in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from engine.core.errors import EngineError
from engine.strategies.ground import Ground
from engine.strategies.spec import Experiment, Parameters, SetOf, Upstream, character_needed, history_needed

Trained = Literal["per-persona", "hybrid", "constrained"]
_MERGE_STEP = "engine.strategies.steps.merge:run"
_MERGING = {"load": 2.0, "merge": 8.0, "generate": 85.0, "score": 5.0}
_BOUNDS = ("ceiling", "clustering", "placebo", "routing")


class ClusteringParameters(Parameters):
    """How personas are grouped."""

    features: Literal["behaviour", "character", "both", "adapters"] = Field(
        "behaviour",
        description="Where likeness is seen: training dialogues, character text, both, or trained adapters.",
    )
    k: SetOf[int] = Field(
        [5, 10, 15, 20, 25],
        min_length=1,
        description="Numbers of clusters to try; the one with the highest silhouette is kept.",
    )
    method: Literal["k-means", "agglomerative"] = Field("k-means", description="How groups are found.")
    repeats: int = Field(
        5, ge=2, le=50, description="Repetitions, with other seeds, that stability is taken over."
    )
    adapters: Trained = Field(
        "per-persona", description="With features=adapters: the experiment whose adapters are compared."
    )


class MergeParameters(Parameters):
    """What is merged, and whether the merge is exact."""

    adapters: Trained = Field("per-persona", description="The experiment whose adapters are merged.")
    combine: Literal["exact", "svd", "ties", "dare", "linear"] = Field(
        "exact",
        description="The exact weighted sum, or a lossy way: cut SVD, TIES, DARE, or A and B averaged apart.",
    )
    rank: int | None = Field(
        None, ge=1, le=1024, description="Rank of a lossy merge; by default that of the adapters."
    )
    density: float = Field(
        0.2, gt=0, le=1, description="TIES and DARE: the share of each adapter's changes that is kept."
    )


class ClusterMergeParameters(MergeParameters):
    """A merge within clusters."""

    cluster: int | None = Field(None, ge=0, description="Merge and score this cluster only; by default all.")


class WeightedMergeParameters(ClusterMergeParameters):
    """A merge within clusters in which better and more typical adapters weigh more."""

    temperature: float = Field(
        0.1,
        gt=0,
        le=100,
        description="Of the softmax over val score x likeness to the centre; 1 is nearly even.",
    )
    quality: bool = Field(
        False, description="Multiply by the persona's share of useful training interactions too."
    )


class LearnedMergeParameters(ClusterMergeParameters):
    """A merge within clusters whose weights are fitted to the loss of validation dialogues."""

    learning_rate: float = Field(0.05, gt=0, le=1, description="Of the weights' logits, by AdamW.")
    epochs: int = Field(1, ge=1, le=100, description="Passes over a cluster's validation dialogues.")
    batch_size: int = Field(8, ge=1, le=1024, description="Dialogues in one step.")
    l2: float = Field(0.001, ge=0, le=100, description="How strongly weights are pulled to even ones.")


class _NearParameters(MergeParameters):
    """A merge for each persona, of adapters of personas like her."""

    own: bool = Field(True, description="Whether the persona's own adapter takes part.")
    likeness: Literal["features", "adapters"] = Field(
        "features",
        description="How alike two personas are: by the clustering's features, or by their adapters.",
    )


class NearestMergeParameters(_NearParameters):
    """A merge of the few adapters nearest to each persona."""

    k: int = Field(5, ge=1, le=1000, description="How many of the most similar adapters take part.")
    temperature: float = Field(
        0.5, gt=0, le=100, description="Of the softmax over likeness (-1 to 1); lower favours the nearest."
    )


class SoftMergeParameters(_NearParameters):
    """A merge of all adapters for each persona, the more similar the more weight."""

    temperature: float = Field(
        0.2, gt=0, le=100, description="Of the softmax over likeness (-1 to 1); lower favours the nearest."
    )


class RoutingParameters(Parameters):
    """Among what each persona is routed, and how sure the choice must be."""

    among: SetOf[str] = Field(
        ["unified", "per-persona", "hybrid"],
        min_length=2,
        description="The experiments whose variants compete.",
    )
    fallback: str = Field("unified", description="The variant that stays where none beats it.")
    margin: float = Field(
        0.02,
        ge=0,
        le=1,
        description="How much a variant must gain on a persona's val examples (0.02: 2 points).",
    )
    metric: Literal["embedding_similarity", "device_f1", "param_f1", "exact_action_match"] = Field(
        "embedding_similarity", description="The metric that decides."
    )


def _clustering_needs(parameters: ClusteringParameters) -> tuple[Upstream, ...]:
    of_adapters = parameters.features == "adapters"
    return (Upstream(role="adapters", experiment=parameters.adapters),) if of_adapters else ()


def _clustering_applies(parameters: ClusteringParameters, ground: Ground) -> None:
    if parameters.features != "character":
        history_needed(parameters, ground)
    if parameters.features in ("character", "both"):
        character_needed(parameters, ground)


def _adapters(parameters: MergeParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="adapters", experiment=parameters.adapters),)


def _adapters_and_clusters(parameters: MergeParameters) -> tuple[Upstream, ...]:
    return (*_adapters(parameters), Upstream(role="clusters", experiment="clustering"))


def _adapters_and_features(parameters: _NearParameters) -> tuple[Upstream, ...]:
    by_features = parameters.likeness == "features"
    return _adapters_and_clusters(parameters) if by_features else _adapters(parameters)


def _routing_needs(parameters: RoutingParameters) -> tuple[Upstream, ...]:
    wanted = tuple(dict.fromkeys((*parameters.among, parameters.fallback)))
    for name in wanted:
        if name in _BOUNDS:
            raise EngineError(
                f"Nobody can be routed to {name}: it answers no persona by itself.",
                "Route among experiments that make variants: --set among=unified,per-persona,hybrid",
            )
    return tuple(Upstream(role=name, experiment=name, same_protocol=True) for name in wanted)


def _merge(
    name: str,
    *,
    title: str,
    question: str,
    form: type[Parameters],
    needs: Callable[[Any], tuple[Upstream, ...]],
    method: str,
) -> Experiment:
    return Experiment(
        name=name,
        title=title,
        family="merge",
        question=question,
        makes=name,
        step=_MERGE_STEP,
        parameters=form,
        fixed={"method": method},
        needs=needs,
        stages=_MERGING,
        beside=("base", "unified"),
        applies=history_needed,
    )


COMBINING = (
    Experiment(
        name="clustering",
        title="Clusters of personas",
        family="clustering",
        question="Which personas resemble each other, and are there clusters at all?",
        makes="clusters.json, data/splits/cluster_map.json",
        step="engine.strategies.steps.cluster:run",
        parameters=ClusteringParameters,
        needs=_clustering_needs,
        stages={"features": 70.0, "cluster": 30.0},
        applies=_clustering_applies,
    ),
    _merge(
        "merge-average",
        title="Average of all adapters",
        question="What do all personas' adapters have in common, and is it as good as training on everybody?",
        form=MergeParameters,
        needs=_adapters,
        method="average",
    ),
    _merge(
        "merge-cluster",
        title="Average of a cluster's adapters",
        question="Does the average of the adapters of a persona's cluster serve her?",
        form=ClusterMergeParameters,
        needs=_adapters_and_clusters,
        method="cluster",
    ),
    _merge(
        "merge-weighted",
        title="Weighted merge of a cluster",
        question="Is a cluster's merge better when good and typical adapters weigh more?",
        form=WeightedMergeParameters,
        needs=_adapters_and_clusters,
        method="weighted",
    ),
    _merge(
        "merge-moe",
        title="Sparse MoE: the nearest in the cluster",
        question="Do the few most similar adapters of her cluster help a persona beyond her own?",
        form=NearestMergeParameters,
        needs=_adapters_and_clusters,
        method="moe",
    ),
    _merge(
        "merge-topk",
        title="The nearest adapters of all",
        question="Do the few most similar adapters help, wherever they come from?",
        form=NearestMergeParameters,
        needs=_adapters_and_features,
        method="topk",
    ),
    _merge(
        "merge-soft",
        title="All adapters by likeness",
        question="Does every adapter help a little, the more similar the more?",
        form=SoftMergeParameters,
        needs=_adapters_and_features,
        method="soft",
    ),
    _merge(
        "merge-learned",
        title="Learned merge of a cluster",
        question="Is a cluster's merge better with weights that are fitted on validation dialogues?",
        form=LearnedMergeParameters,
        needs=_adapters_and_clusters,
        method="learned",
    ),
    Experiment(
        name="routing",
        title="Routing by validation",
        family="routing",
        question="Is each persona best served by the variant that won on her validation examples?",
        makes="routing",
        step="engine.strategies.steps.route:run",
        parameters=RoutingParameters,
        needs=_routing_needs,
        stages={"route": 100.0},
        beside=("base",),
        applies=history_needed,
    ),
)
