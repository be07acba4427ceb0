"""Which dialogues a training step holds, and at which rate: epochs, micro-batches, the schedule."""

import math
from collections.abc import Iterator, Sequence

import torch

from engine.lm.encode import Encoded

_POOL_BATCHES = 16


def reply_tokens(row: Encoded) -> int:
    """Return how many tokens of the chat are predicted as the assistant's."""
    return sum(row.is_reply[1:])


def schedule(step: int, total: int, warmup_share: float) -> float:
    """Return the factor on the learning rate: a linear rise over the warm-up, then a linear fall to 0."""
    warmup = math.ceil(total * warmup_share)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (total - step) / max(1, total - warmup))


def micro_batches(lengths: Sequence[int], tokens: int, *, at_least: int = 1) -> list[list[int]]:
    """Return lists of indices, like lengths together, each at most `tokens` with its padding (or one row).

    Where that gives fewer than `at_least`, the fullest are halved until there are that many (or one a row).
    """
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    parts: list[list[int]] = []
    for index in order:
        if not parts or (len(parts[-1]) + 1) * lengths[index] > tokens:
            parts.append([])
        parts[-1].append(index)
    while len(parts) < min(at_least, len(order)):
        most = max(range(len(parts)), key=lambda number: len(parts[number]))
        half = len(parts[most]) // 2
        parts[most : most + 1] = [parts[most][:half], parts[most][half:]]
    return parts


def epoch_batches(lengths: Sequence[int], batch_size: int, *, seed: int) -> Iterator[list[int]]:
    """Yield one epoch's batches of indices: shuffled, and sorted by length within pools to pad little."""
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=random).tolist()
    groups = []
    for start in range(0, len(order), batch_size * _POOL_BATCHES):
        pool = sorted(
            order[start : start + batch_size * _POOL_BATCHES], key=lambda index: (lengths[index], index)
        )
        groups += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    for index in torch.randperm(len(groups), generator=random).tolist():
        yield groups[index]
