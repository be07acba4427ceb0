"""Memory of a device: how much is free, how much of training it holds at once, and telling a full one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.core.memory import available_bytes

_FEWEST_AT_ONCE, _MOST_AT_ONCE = 1024, 65536
SHARE_OF_FREE = 0.8
_MOST_OF_A_STEP = 4 << 30
_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""What a CPU's allocator says, and a GPU's driver and libraries, which take memory beside torch's."""


def sent(given: Tensor | Sequence[int] | Sequence[float], device: torch.device) -> Tensor:
    """Return a tensor or numbers of the host on the device, without waiting for what a GPU is still at.

    A copy from memory that is not pinned, as torch.tensor(..., device=) makes, waits for all before it.
    """
    made = given if isinstance(given, Tensor) else torch.tensor(given)
    return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that there was no room for a tensor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def free_bytes(device: torch.device) -> int:
    """Return the memory that tensors on a device may still take, what torch keeps for reuse included."""
    if device.type != "cuda":
        return available_bytes()
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + held


def bytes_of_a_step(device: torch.device) -> int:
    """Return what an optimiser step may take beside the weights and what lies on the device already."""
    return min(_MOST_OF_A_STEP, free_bytes(device) // 2) if device.type == "cuda" else _MOST_OF_A_STEP


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
    fitting = int(SHARE_OF_FREE * free_bytes(model.device)) // each
    return int(min(_MOST_AT_ONCE, max(_FEWEST_AT_ONCE, 1 << max(0, fitting.bit_length() - 1))))
