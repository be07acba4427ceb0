"""Weighted sums of personas' adapters: of all, of a cluster, of the nearest, or by learned weights."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from engine.core.errors import EngineError
from engine.core.parameters import Parameters, SetOf
from engine.core.wording import count
from engine.strategies.cluster import in_a_cluster
from engine.strategies.published import BACKUP
from engine.strategies.spec import (
    Experiment,
    Having,
    InName,
    Preset,
    StepOf,
    Traits,
    Upstream,
    Wish,
    history_needed,
    named_by,
)

WEIGHTS = "weights.json"
"""Of a run that merges: how much of whose adapter went into what."""
Ridge = Annotated[float, Field(gt=0, le=1e6)]


class MergeParameters(Parameters):
    """What is merged, and whether the merge is exact."""

    rare: ClassVar[frozenset[str]] = frozenset({"rank", "density"})
    adapters: Annotated[str, Having("mergeable"), InName()] = Field(
        "per-persona", description="The experiment whose adapters are merged."
    )
    combine: Annotated[Literal["exact", "svd", "ties", "dare", "linear"], InName()] = Field(
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
    quality: Annotated[bool, InName("by-quality")] = Field(
        False, description="Multiply by the persona's share of useful training interactions too."
    )


class LearnedMergeParameters(ClusterMergeParameters):
    """A merge within clusters whose weights are fitted to the loss of validation dialogues."""

    learning_rate: float = Field(0.05, gt=0, le=1, description="Of the weights' logits, by AdamW.")
    epochs: int = Field(1, ge=1, le=100, description="Passes over a cluster's validation dialogues.")
    batch_size: int = Field(8, ge=1, le=1024, description="Dialogues in one step.")
    l2: float = Field(0.001, ge=0, le=100, description="How strongly weights are pulled to even ones.")
    by_layer: Annotated[bool, InName("by-layer", first=True)] = Field(
        False, description="A weight of its own for each adapter in each layer, instead of one an adapter."
    )

    @field_validator("by_layer")
    @classmethod
    def _exact(cls, value: bool, seen: ValidationInfo) -> bool:
        if value and seen.data.get("combine") != "exact":
            raise ValueError("weights by layer are for combine=exact; the lossy ways take one an adapter")
        return value


class _NearParameters(MergeParameters):
    """A merge for each persona, of adapters of personas like her."""

    own: Annotated[bool, InName("of-others")] = Field(
        True, description="Whether the persona's own adapter takes part."
    )
    likeness: Annotated[Literal["features", "adapters"], InName("by-{}")] = Field(
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


def _predicts(wish: Wish) -> None:
    """Raise EngineError where it would predict from character texts that some have not got."""
    without = wish.ground.personas - wish.ground.with_character
    if wish.spec.parameters["features"] == "character" and without > wish.ground.unseen:
        raise nothing_known(without)


def nothing_known(personas: int) -> EngineError:
    """Return the refusal to predict for so many personas of whom nothing is known."""
    return EngineError(
        f"Nothing is known of {count(personas, 'persona')} to predict from.",
        "Predict from something that all have: --set features=behaviour",
    )


def _weighs(wish: Wish) -> None:
    """Raise EngineError where adapters would be weighed by val scores that they have not got."""
    in_a_cluster(wish)
    adapters = wish.upstream["adapters"]
    if "val" not in adapters.protocol["splits"]:
        raise EngineError(
            f"Adapters are weighed by their val scores, and {adapters.run_id} is not scored on val.",
            "Score it on val as well: --set splits=val,test",
        )


FIT = "fit"
"""The stage of a merge that passes over dialogues to find its weights."""
ON_UNIFIED = Preset(
    "on-unified",
    "Of deltas on unified, upon unified",
    {"adapters": "hybrid"},
    "docs/strategies/merging.md: parts that were trained from the base stand far below unified.",
)


_adapters = named_by(adapters="adapters")


def _adapters_and_clusters(parameters: MergeParameters) -> tuple[Upstream, ...]:
    return (*_adapters(parameters), Upstream(role="clusters", experiment="clustering"))


class HypernetworkParameters(MergeParameters):
    """A merge for each persona that is predicted from what is known of her."""

    adapters: Annotated[str, Having("mergeable"), InName()] = Field(
        "hybrid", description="The experiment whose adapters it learns to predict."
    )
    combine: Annotated[Literal["exact", "svd"], InName()] = Field(
        "exact", description="The exact weighted sum, or cut to the adapters' rank by SVD."
    )
    features: Annotated[Literal["character", "behaviour", "both"], InName("from-{}")] = Field(
        "both",
        description="It predicts from her character text, what her train dialogues do and say, or both.",
    )
    ridge: SetOf[Ridge] = Field(
        [0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
        min_length=1,
        description="How strongly predictions are held to the adapters' mean; of several the best at "
        "predicting adapters it does not know.",
    )
    own: Annotated[bool, InName("with-own")] = Field(
        False, description="Whether it knows her own adapter; without, she is served as an unseen persona."
    )


def _adapters_and_features(parameters: _NearParameters) -> tuple[Upstream, ...]:
    by_features = parameters.likeness == "features"
    return _adapters_and_clusters(parameters) if by_features else _adapters(parameters)


def _merge(
    name: str,
    *,
    title: str,
    question: str,
    form: type[Parameters],
    needs: Callable[[Any], tuple[Upstream, ...]],
    method: str,
    personal: bool = True,
    usual: str = "per-persona",
    presets: tuple[Preset, ...] = (),
    version: int = 1,
    val_since: int | None = None,
    serves_unseen: bool = False,
    fit_stage: dict[str, float] | None = None,
    fits: Callable[[Wish], None] = lambda _: None,
) -> Experiment:
    ranges = {"k": (2, 3, 5, 10), "temperature": (0.05, 0.1, 0.2, 0.5, 1.0), "own": (True, False)}
    space: dict[str, tuple[Any, ...]] = {"adapters": ("per-persona", "hybrid")}
    space |= {each: values for each, values in ranges.items() if each in form.model_fields}
    return Experiment(
        name=name,
        title=title,
        family="merge",
        group="Merges",
        question=question,
        makes=name,
        version=version,
        val_since=val_since or version,
        step=StepOf("merge"),
        parameters=form,
        fixed={"method": method},
        needs=needs,
        stages={"load": 2.0, **(fit_stage or {}), "merge": 8.0, "generate": 85.0, "score": 5.0},
        beside=("base", "unified"),
        applies=history_needed,
        fits=fits,
        traits=Traits(personal=personal, readable=True, mixable=True, serves_unseen=serves_unseen),
        presets=(*presets, ON_UNIFIED) if usual == "per-persona" else presets,
        space=space,
    )


STRATEGIES = (
    _merge(
        "merge-average",
        title="Average of all adapters",
        question="What do all personas' adapters have in common, and is it as good as training on everybody?",
        form=MergeParameters,
        needs=_adapters,
        method="average",
        personal=False,
        serves_unseen=True,
    ),
    _merge(
        "merge-cluster",
        title="Average of a cluster's adapters",
        question="Does the average of the adapters of a persona's cluster serve her?",
        form=ClusterMergeParameters,
        needs=_adapters_and_clusters,
        method="cluster",
        fits=in_a_cluster,
    ),
    _merge(
        "merge-weighted",
        title="Weighted merge of a cluster",
        question="Is a cluster's merge better when good and typical adapters weigh more?",
        form=WeightedMergeParameters,
        needs=_adapters_and_clusters,
        method="weighted",
        fits=_weighs,
        version=2,  # since then val is answered by weights that were found without it
        presets=(
            Preset(
                "cluster-4",
                "Cluster 4: softmax of val score x likeness",
                {"cluster": 4, "temperature": 1.0},
                f"{BACKUP}, strategy 1, as its code has it.",
            ),
            Preset(
                "cluster-4-quality",
                "Cluster 4: val score x likeness x data quality",
                {"cluster": 4, "temperature": 1.0, "quality": True},
                f"{BACKUP}, strategy 1, with the third factor of its list.",
            ),
        ),
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
        fit_stage={FIT: 32.0},
        fits=in_a_cluster,
        version=2,  # since then val is answered by weights that were fitted without it
    ),
    _merge(
        "hypernetwork",
        title="Predicted from profile and history",
        question="Can a persona's adapter be predicted from what is known of her, without training on her?",
        form=HypernetworkParameters,
        needs=_adapters,
        method="predicted",
        fits=_predicts,
        usual="hybrid",
        version=2,  # since then unseen personas are served
        val_since=1,
        serves_unseen=True,
    ),
)
