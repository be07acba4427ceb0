"""How a base's prompts are answered on the device it is on: rows a batch, and steps of static shape or not.

A plan is part of the protocol, since bf16 text changes with batch shapes. It follows the device and the
architecture alone, never how much memory is free just now: a batch that does not fit is halved.
"""

from collections.abc import Callable
from dataclasses import dataclass

from transformers import PreTrainedModel

from engine.lm.fused import KERNEL_DEVICES
from engine.lm.memory import SHARE_OF_FREE, free_bytes
from engine.lm.static_steps import StaticSteps, unsuited

BATCH_ROWS = 64
_GPU_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Batching:
    """At most `rows` prompts a batch, longest first; `static`: their steps have static shapes.

    `reason` says why they have not, on a GPU. `most_bytes` limits a batch's room; without it what is free.
    """

    rows: int = BATCH_ROWS
    static: bool = False
    reason: str = ""
    most_bytes: Callable[[], int | None] | None = None

    @property
    def name(self) -> str:
        """The protocol's word for it."""
        return f"length-sorted/{self.rows}{', static steps' if self.static else ''}"

    def room(self, model: PreTrainedModel) -> Callable[[], int | None]:
        """Return what tells how many bytes a batch may take where the model is."""
        return self.most_bytes or (lambda: int(free_bytes(model.device) * SHARE_OF_FREE))

    def steps(self, model: PreTrainedModel) -> StaticSteps | None:
        """Return static steps for the batches of one call; None where the plan has none."""
        return StaticSteps(most_bytes=self.room(model)) if self.static else None


PLAIN = Batching()


def plan_for(model: PreTrainedModel) -> Batching:
    """Return the plan for a model where it is."""
    if model.device.type not in KERNEL_DEVICES:
        return PLAIN
    reason = unsuited(model)
    return Batching(reason=reason) if reason else Batching(rows=_GPU_ROWS, static=True)
