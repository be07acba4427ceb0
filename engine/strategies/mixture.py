"""Two variants answer together, their probabilities added token by token."""

from typing import Annotated

from pydantic import Field

from engine.core.parameters import Parameters, SetOf
from engine.strategies.published import BACKUP
from engine.strategies.retrieval import refuse_open_choice
from engine.strategies.spec import (
    ChosenOnVal,
    Experiment,
    Having,
    Preset,
    StepOf,
    Traits,
    Wish,
    history_needed,
    named_by,
)

Share = Annotated[float, Field(ge=0, le=1)]


class MixtureParameters(Parameters):
    """Which two variants answer together, and with which weight."""

    first: Annotated[str, Having("mixable")] = Field(
        "unified", description="The experiment whose variant has the weight."
    )
    second: Annotated[str, Having("mixable")] = Field(
        "cluster", description="The experiment whose variant has the rest."
    )
    weights: Annotated[SetOf[Share], ChosenOnVal()] = Field(
        [0.6],
        min_length=1,
        description="The first one's share of the probabilities; of several the best on val is kept.",
    )


def _fits(wish: Wish) -> None:
    for spec in wish.upstream.values():
        refuse_open_choice(spec)


STRATEGY = Experiment(
    name="mixture",
    title="Mixture of two variants",
    family="mixture",
    group="Choosing and mixing",
    question="Do two variants answer better together, their probabilities added token by token?",
    makes="mixture-0.6",
    version=2,  # since then val is answered as its other dialogues choose
    val_since=2,
    step=StepOf("mix"),
    parameters=MixtureParameters,
    needs=named_by(first="first", second="second"),
    stages={"load": 3.0, "sweep": 60.0, "generate": 32.0, "score": 5.0},
    beside=("base", "unified"),
    applies=history_needed,
    fits=_fits,
    traits=Traits(personal=True, readable=True, serves_unseen=True),
    presets=(
        Preset(
            "backup-plan",
            "0.6 unified, 0.4 cluster",
            {"first": "unified", "second": "cluster", "weights": [0.6]},
            f"{BACKUP}, strategy 3.",
        ),
    ),
)
