"""How much of training a device holds at once, and making room on it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from engine.lm.memory import free_bytes

_FEWEST_AT_ONCE, _MOST_AT_ONCE = 1024, 65536
_SHARE_OF_FREE = 0.8


def release(device: torch.device) -> None:
    """Give back what is held for later tensors, so that what is asked for next finds it in one piece."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def tokens_that_fit(model: PreTrainedModel, *, fused: bool) -> int:
    """Return how many tokens a training step computes at once beside what lies on the device: a power of two.

    By the model's widths: what a layer keeps for the way back is some 9 hidden states and 2 of its
    feed-forward block, half as much again where its modules are not `fused`. Beyond 65,536 nothing is won.
    """
    if model.device.type != "cuda":
        return 2048
    config: Any = model.config.get_text_config()
    wide = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    each = config.num_hidden_layers * (9 * config.hidden_size + 2 * wide) * model.dtype.itemsize
    each = each if fused else 3 * each // 2
    fitting = int(_SHARE_OF_FREE * free_bytes(model.device)) // each
    return int(min(_MOST_AT_ONCE, max(_FEWEST_AT_ONCE, 1 << max(0, fitting.bit_length() - 1))))
