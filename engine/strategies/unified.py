"""One adapter for everybody: what every personalised variant has to beat."""

from engine.strategies.trained import ALIKE, LoraParameters, train_lora, trained

STRATEGY = trained(
    "unified",
    title="Unified LoRA",
    question="How far does one adapter, trained on everybody's dialogues, carry?",
    parameters=LoraParameters,
    step=train_lora,
    by="all",
    traits=ALIKE,
    group="Adapters",
    version=2,
    beside=("base",),
)
