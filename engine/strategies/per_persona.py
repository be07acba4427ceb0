"""An adapter of her own for each persona, trained on her dialogues alone."""

from engine.strategies.trained import MERGEABLE, OwnLoraParameters, toward_unified, train_lora, trained

STRATEGY = trained(
    "per-persona",
    title="Per-persona LoRA",
    question="Does an adapter of her own, trained on her dialogues alone, serve each persona best?",
    parameters=OwnLoraParameters,
    step=train_lora,
    traits=MERGEABLE,
    group="Adapters",
    needs=toward_unified,
)
