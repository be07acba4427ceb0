"""One adapter for all, a delta a group upon it, a delta a persona upon both (PROPER)."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from engine.strategies.spec import StepOf, Upstream
from engine.strategies.trained import PERSONAL, LoraParameters, trained


class StagedParameters(LoraParameters):
    """The last stage: a persona's delta on the delta of her cluster on unified."""

    rank: int = Field(4, ge=1, le=256, description="Rank of the persona's delta.")
    alpha: float = Field(8, gt=0, le=1024, description="The update is scaled by alpha / rank.")


def _needs(_: Any) -> tuple[Upstream, ...]:
    return (
        Upstream(
            role="below", experiment="cluster-from-unified", parameters={"start": "delta"}, same_protocol=True
        ),
    )


STRATEGY = trained(
    "staged",
    title="In stages: all, her group, herself",
    question="Does each stage add something: all personas, then a persona's group, then she alone?",
    parameters=StagedParameters,
    step=StepOf("stages"),
    traits=replace(PERSONAL, divides=("replies",)),
    group="Clusters",
    needs=_needs,
)
