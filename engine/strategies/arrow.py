"""Every token chooses among adapters that are there, by what each adapter reads (Arrow)."""

from typing import Annotated

from pydantic import Field

from engine.core.parameters import Parameters
from engine.strategies.spec import (
    Experiment,
    Having,
    InName,
    Preset,
    StepOf,
    Traits,
    history_needed,
    named_by,
)


class ArrowParameters(Parameters):
    """The adapters to choose from, and how many a token takes."""

    adapters: Annotated[str, Having("library"), InName("of-{}")] = Field(
        "hybrid",
        description="The experiment whose adapters stand in the library; of deltas on unified, upon it.",
    )
    top_k: int = Field(3, ge=1, le=1000, description="How many adapters a token takes in a layer.")
    temperature: float = Field(
        1.0, gt=0, le=100, description="Of the softmax over how well they fit; lower favours the best."
    )


STRATEGY = Experiment(
    name="arrow",
    title="Each token chooses its adapters",
    family="merge",
    group="Choosing and mixing",
    question="Do tokens find the adapters that fit them, with nobody saying whose they are?",
    makes="arrow",
    step=StepOf("shelve"),
    parameters=ArrowParameters,
    needs=named_by(adapters="adapters"),
    stages={"load": 2.0, "merge": 8.0, "generate": 85.0, "score": 5.0},
    beside=("base", "unified"),
    applies=history_needed,
    traits=Traits(readable=True, mixable=True, serves_unseen=True),
    presets=(
        Preset(
            "of-clusters",
            "A library of the clusters' adapters on unified",
            {"adapters": "cluster-from-unified"},
            "Ostapenko et al. 2024 (arXiv 2405.11157): a library built by clusters.",
        ),
    ),
    space={"top_k": (1, 2, 3, 5), "temperature": (0.1, 0.3, 1.0)},
)
