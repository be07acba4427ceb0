"""The one record of a LoRA adapter's shape, from the launch form to the file. Loads no model code."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from engine.core.errors import EngineError
from engine.core.parameters import Parameters, SetOf
from engine.lm.layers import AUTO

_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Beginnings that leave the base as it is; PiSSA, OLoRA, CorDA, LoftQ and the like put a part of it aside."""
_MORE = (
    *("use_dora", "alpha_pattern", "rank_pattern", "lora_bias", "modules_to_save", "trainable_token_indices"),
    *("layer_replication", "use_qalora", "use_bdlora", "alora_invocation_tokens"),
    *("arrow_config", "kasa_config", "monteclora_config", "megatron_config"),
)
"""Options of PEFT that make more of an adapter than A and B; rsLoRA is a scale, and read as one."""


class LoraShape(Parameters):
    """The shape of a LoRA adapter."""

    rank: int = Field(default=8, ge=1, le=256, description="Rank of the low-rank update.")
    alpha: float = Field(default=16, gt=0, le=1024, description="The update is scaled by alpha / rank.")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="Dropout before the update, while training.")
    target_modules: SetOf[str] = Field(
        default=[AUTO],
        min_length=1,
        description="Linear layers of the base that get an update; auto: the usual ones of its architecture.",
    )

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the shape that a run's parameters name."""
        return cls(**{name: parameters[name] for name in LoraShape.model_fields if name in parameters})

    @classmethod
    def whole(cls, rank: int, modules: Iterable[str]) -> "LoraShape":
        """Return the shape of factors that hold all scale themselves, of any rank a merge comes to."""
        names = sorted({path.rsplit(".", 1)[-1] for path in modules})
        return LoraShape.model_construct(rank=rank, alpha=rank, dropout=0.0, target_modules=names)


def refuse_more(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise EngineError where an adapter's configuration says that it is more than A and B."""
    if reason := _unplain(config):
        raise EngineError(
            f"The adapter in {folder} is no plain LoRA ({reason}).", "Train it without these options."
        )


def _unplain(config: Mapping[str, Any]) -> str:
    """Return what makes an adapter more than A and B over the base as it is; "" for nothing."""
    if config.get("peft_type") != "LORA":
        return f"it is of the type {config.get('peft_type')}"
    if config.get("bias", "none") != "none":
        return f"it holds biases of the base: bias={config['bias']}"
    begun = config.get("init_lora_weights", True)
    if begun not in _PLAIN_STARTS:
        return f"it belongs to a changed base: init_lora_weights={begun}"
    return ", ".join(f"it was trained with {name}" for name in _MORE if config.get(name))
