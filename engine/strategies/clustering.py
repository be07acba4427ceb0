"""Who resembles whom: groups of personas, for whatever trains or merges by cluster. Makes no variant."""

from typing import Annotated, Literal

from pydantic import Field

from engine.core.errors import EngineError
from engine.core.parameters import Parameters, SetOf
from engine.strategies.ground import Ground
from engine.strategies.published import START
from engine.strategies.spec import (
    Experiment,
    Having,
    Preset,
    StepOf,
    Traits,
    Upstream,
    Wish,
    character_needed,
    history_needed,
)

_FEWEST = 3


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
    adapters: Annotated[str, Having("mergeable")] = Field(
        "per-persona", description="With features=adapters: the experiment whose adapters are compared."
    )


def _needs(parameters: ClusteringParameters) -> tuple[Upstream, ...]:
    of_adapters = parameters.features == "adapters"
    return (Upstream(role="adapters", experiment=parameters.adapters),) if of_adapters else ()


def _applies(parameters: ClusteringParameters, ground: Ground) -> None:
    if ground.personas - ground.unseen < _FEWEST:
        raise EngineError(
            f"Not applicable here: clusters need {_FEWEST} personas or more.",
            "Create a workspace with more personas.",
        )
    if parameters.features != "character":
        history_needed(parameters, ground)
    if parameters.features in ("character", "both"):
        character_needed(parameters, ground)


def _divides(wish: Wish) -> None:
    """Raise EngineError where the personas cannot form any of the numbers of clusters."""
    most, asked = wish.ground.personas - wish.ground.unseen, wish.spec.parameters["k"]
    if not any(2 <= k < most for k in asked):
        from engine.stats.clusters import too_few

        raise too_few(most, asked)


STRATEGY = Experiment(
    name="clustering",
    title="Clusters of personas",
    family="clustering",
    group="Clusters",
    question="Which personas resemble each other, and are there clusters at all?",
    makes="clusters.json, data/splits/cluster_map.json",
    step=StepOf("cluster"),
    parameters=ClusteringParameters,
    needs=_needs,
    stages={"features": 70.0, "cluster": 30.0},
    applies=_applies,
    fits=_divides,
    traits=Traits(answers=False, routable=False),
    presets=(
        Preset(
            "quick-start",
            "Character texts, 5 to 25 clusters, the best silhouette",
            {"features": "character", "k": [5, 10, 15, 20, 25]},
            f"{START}, experiment 1, step 1.",
        ),
    ),
)
