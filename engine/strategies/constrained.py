"""Small adapters of their own, held back on every side: against the losses of few dialogues."""

from pydantic import Field

from engine.core.parameters import SetOf
from engine.lm.layers import AUTO_ONE
from engine.strategies.published import BACKUP, CONSTRAINED, START
from engine.strategies.spec import Preset
from engine.strategies.trained import MERGEABLE, OwnLoraParameters, toward_unified, train_lora, trained


class ConstrainedParameters(OwnLoraParameters):
    """Small adapters that are held back on every side, against overfitting on few dialogues."""

    rank: int = Field(4, ge=1, le=256, description="Rank of the low-rank update.")
    alpha: float = Field(8, gt=0, le=1024, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the update, while training.")
    target_modules: SetOf[str] = Field(
        [AUTO_ONE],
        min_length=1,
        description="Linear layers of the base that get an update; auto-one: the first of the usual ones.",
    )
    weight_decay: float = Field(0.05, ge=0, le=1, description="Weight decay of AdamW.")
    l2: float = Field(0.01, ge=0, le=100, description="Weight of the L2 penalty that pulls weights to zero.")


STRATEGY = trained(
    "constrained",
    title="Constrained per-persona LoRA",
    question="Do smaller, held-back adapters of their own avoid the losses of per-persona LoRA?",
    parameters=ConstrainedParameters,
    step=train_lora,
    family="per-persona",
    traits=MERGEABLE,
    group="Adapters",
    needs=toward_unified,
    presets=(
        Preset(
            "quick-start",
            "Rank 4, L2 0.1",
            {"rank": 4, "l2": 0.1},
            f"{START}, experiment 6; its ablation is the sweep constrained-lambda.",
        ),
        Preset(
            "backup-plan",
            "Rank 4, alpha 8, q only, dropout 0.1, decay 0.05, warm-up 0.1",
            dict(CONSTRAINED),
            f"{BACKUP}, strategy 4, for each persona.",
        ),
    ),
)
