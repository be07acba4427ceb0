"""Each persona's nearest adapters merged, and a delta of very low rank trained on top (merge, then adapt)."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from engine.strategies.spec import Having, InName, Upstream
from engine.strategies.trained import PERSONAL, LoraParameters, train_lora, trained


class MtaParameters(LoraParameters):
    """Which adapters are merged for a persona, and the delta that is trained on top of them."""

    rank: int = Field(2, ge=1, le=256, description="Rank of the delta on top of the merge.")
    alpha: float = Field(4, gt=0, le=1024, description="The update is scaled by alpha / rank.")
    adapters: Annotated[str, Having("mergeable"), InName()] = Field(
        "hybrid", description="The experiment whose adapters are merged; of deltas on unified, upon it."
    )
    k: int = Field(5, ge=1, le=1000, description="How many of the most similar adapters take part.")
    temperature: float = Field(
        0.5, gt=0, le=100, description="Of the softmax over likeness (-1 to 1); lower favours the nearest."
    )
    own: Annotated[bool, InName("of-others")] = Field(
        True, description="Whether the persona's own adapter takes part."
    )
    likeness: Annotated[Literal["features", "adapters"], InName("by-{}")] = Field(
        "features",
        description="How alike two personas are: by the clustering's features, or by their adapters.",
    )


def _needs(parameters: MtaParameters) -> tuple[Upstream, ...]:
    asked = ("adapters", "k", "temperature", "own", "likeness")
    merge = {name: getattr(parameters, name) for name in asked}
    return (Upstream(role="below", experiment="merge-topk", parameters={**merge, "combine": "exact"}),)


STRATEGY = trained(
    "mta",
    title="Merge the nearest, then adapt",
    question="Does a tiny delta on a merge of the nearest personas' adapters serve with little history?",
    parameters=MtaParameters,
    step=train_lora,
    traits=replace(PERSONAL, divides=("replies",)),
    group="Merges",
    needs=_needs,
)
