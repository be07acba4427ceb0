"""A few steps on her newest dialogues, from each persona's earlier adapter."""

from typing import Annotated, Literal

from pydantic import Field

from engine.strategies.spec import InName, Upstream
from engine.strategies.trained import TrainingParameters, train_lora, trained


class OnlineParameters(TrainingParameters):
    """How each persona's adapter is continued on her online slice."""

    over: Annotated[Literal["per-persona", "hybrid"], InName()] = Field(
        "per-persona", description="The experiment whose adapters, trained without the slice, go on."
    )
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate of AdamW.")
    epochs: int = Field(1, ge=1, le=100, description="Passes over the online slice; the best one is kept.")


def _earlier(parameters: OnlineParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="start", experiment=parameters.over, parameters={"use_online": False}),)


STRATEGY = trained(
    "online",
    title="Micro-updates on the newest dialogues",
    question="Do a few steps on her newest dialogues bring a persona's adapter up to date?",
    parameters=OnlineParameters,
    step=train_lora,
    family="per-persona",
    fixed={"train_on": "online"},
    group="Adapters",
    needs=_earlier,
)
