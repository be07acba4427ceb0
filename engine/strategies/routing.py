"""Each persona by the variant that won on her validation examples."""

from typing import Annotated

from pydantic import Field

from engine.core.parameters import Parameters, SetOf
from engine.strategies.published import START
from engine.strategies.spec import (
    Experiment,
    Having,
    MetricName,
    Preset,
    StepOf,
    Traits,
    Upstream,
    Wish,
    history_needed,
    no_val,
)


class RoutingParameters(Parameters):
    """Among what each persona is routed, and how sure the choice must be."""

    among: Annotated[SetOf[str], Having("routable")] = Field(
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
    metric: MetricName | None = Field(
        None, description="The metric that decides; by default the study's primary one."
    )


def _needs(parameters: RoutingParameters) -> tuple[Upstream, ...]:
    wanted = tuple(dict.fromkeys((*parameters.among, parameters.fallback)))
    return tuple(Upstream(role=name, experiment=name, same_protocol=True) for name in wanted)


def _chooses(wish: Wish) -> None:
    if not wish.judges_on_val:
        raise no_val(", ".join(wish.spec.parameters["among"]), is_list=False)


STRATEGY = Experiment(
    name="routing",
    title="Routing by validation",
    family="routing",
    group="Choosing and mixing",
    question="Is each persona best served by the variant that won on her validation examples?",
    makes="routing",
    version=2,
    val_since=2,
    step=StepOf("route"),
    parameters=RoutingParameters,
    needs=_needs,
    fits=_chooses,
    stages={"route": 100.0},
    beside=("base",),
    applies=history_needed,
    traits=Traits(personal=True, readable=True, mixable=True, routable=False, serves_unseen=True),
    presets=(
        Preset(
            "quick-start",
            "Hybrid wherever it beats unified",
            {"among": ["unified", "hybrid"], "fallback": "unified", "margin": 0.0},
            f"{START}, experiment 4; here the winner on validation, there on test.",
        ),
    ),
)
