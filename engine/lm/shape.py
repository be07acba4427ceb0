"""The one record of a LoRA adapter's shape, from the launch form to the file. Loads no model code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import Field

from engine.core.parameters import Parameters, SetOf
from engine.lm.layers import AUTO


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
    def whole(cls, rank: int, modules: Iterable[str]) -> LoraShape:
        """Return the shape of factors that hold all scale themselves, of any rank a merge comes to."""
        names = sorted({path.rsplit(".", 1)[-1] for path in modules})
        return LoraShape.model_construct(rank=rank, alpha=rank, dropout=0.0, target_modules=names)
