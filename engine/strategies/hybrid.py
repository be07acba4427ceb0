"""A delta of her own for each persona, trained on top of the frozen unified adapter."""

from dataclasses import replace

from engine.strategies.trained import MERGEABLE, LoraParameters, on_unified, train_lora, trained

STRATEGY = trained(
    "hybrid",
    title="Hybrid: own delta on unified",
    question="Does a small adapter of her own on top of the frozen unified one add what is personal?",
    parameters=LoraParameters,
    step=train_lora,
    traits=replace(MERGEABLE, newcomers=True),
    group="Adapters",
    needs=on_unified,
    beside=("base",),
)
