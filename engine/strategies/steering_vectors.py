"""One offset a persona at one layer: what her own replies have there that the model's own have not."""

from typing import Annotated, Literal

from pydantic import Field

from engine.core.parameters import Parameters, SetOf
from engine.lm.layers import refuse_offsets
from engine.strategies.room import base_folder
from engine.strategies.spec import (
    ChosenOnVal,
    Experiment,
    InName,
    StepOf,
    Traits,
    Wish,
    history_needed,
    named_by,
)

Depth = Annotated[float, Field(ge=0, lt=1)]
Scale = Annotated[float, Field(ge=0, le=100)]


class SteeringVectorParameters(Parameters):
    """Whose replies are told apart, where, and how strongly the difference is added."""

    over: Annotated[Literal["unified", "base"], InName("over-{}")] = Field(
        "unified", description="The experiment whose model is steered, and whose own replies are set against."
    )
    depths: Annotated[SetOf[Depth], ChosenOnVal()] = Field(
        [0.25, 0.5, 0.75],
        min_length=1,
        description="Where: how many of the decoder's layers lie below, as a share; of several the best on "
        "val is kept.",
    )
    scales: Annotated[SetOf[Scale], ChosenOnVal()] = Field(
        [0.0, 0.25, 0.5, 1.0],
        min_length=1,
        description="How much of the difference is added: 0 nothing, 1 all; of several the best on val is "
        "kept.",
    )
    replies: int = Field(
        20, ge=1, le=1000, description="At most so many of her training replies, chosen by hash."
    )
    history: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Replies of so many of each persona's train dialogues only, the most recent ones.",
    )


def _takes_offsets(wish: Wish) -> None:
    base = base_folder(wish.ground.base)
    if base is not None:
        refuse_offsets(base)


STRATEGY = Experiment(
    name="steering-vectors",
    title="Steering vectors",
    family="steering",
    group="Steering",
    question="Does what tells a persona's replies from the model's own inside one layer carry her style?",
    makes="steering-vectors",
    version=2,  # since then val is answered as its other dialogues choose
    val_since=2,
    step=StepOf("steer"),
    parameters=SteeringVectorParameters,
    needs=named_by(over="over"),
    stages={"load": 3.0, "replies": 30.0, "states": 10.0, "sweep": 45.0, "generate": 18.0, "score": 4.0},
    beside=("base", "unified"),
    applies=history_needed,
    fits=_takes_offsets,
    traits=Traits(personal=True, readable=True, mixable=True, newcomers=True, serves_unseen=True),
    space={"replies": (5, 20, 80), "scales": ([0.0, 0.25, 0.5, 1.0], [0.0, 1.0, 2.0, 4.0])},
)
