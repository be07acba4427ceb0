"""Memory of a device: telling a full one from other errors, and how much of training it holds at once."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

_FEWEST_AT_ONCE, _MOST_AT_ONCE = 1024, 32768
_CPU_WORDS = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that there was no room for a tensor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _CPU_WORDS)


def release(device: torch.device) -> None:
    """Give back what is held for later tensors, so that what is asked for next finds it in one piece."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def tokens_that_fit(model: PreTrainedModel) -> int:
    """Return how many tokens a training step computes at once beside what lies on the device: a power of two.

    By the model's widths: what a layer keeps for the way back is some 13 hidden states and 3 of its
    feed-forward block. Beyond 32,768 nothing is won.
    """
    if model.device.type != "cuda":
        return 2048
    config: Any = model.config
    wide = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    each = config.num_hidden_layers * (13 * config.hidden_size + 3 * wide) * model.dtype.itemsize
    fitting = int(0.6 * free_bytes(model.device)) // each
    return int(min(_MOST_AT_ONCE, max(_FEWEST_AT_ONCE, 1 << max(0, fitting.bit_length() - 1))))


def free_bytes(device: torch.device) -> int:
    """Return what this process can still have of a GPU's memory."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + held
