"""Memory of a device: how much is free, and telling a full one from other errors."""

from __future__ import annotations

import torch

from engine.core.memory import available_bytes

_CPU_WORDS = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that there was no room for a tensor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _CPU_WORDS)


def free_bytes(device: torch.device) -> int:
    """Return the memory that tensors on a device may still take, what torch keeps for reuse included."""
    if device.type != "cuda":
        return available_bytes()
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + held
