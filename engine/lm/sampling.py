"""Drawing tokens instead of taking the likeliest: temperature, nucleus and a seed. For single replies only.

What is scored is decoded greedily; nothing here belongs to a protocol.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one reply is drawn: of probabilities ** (1 / temperature), the likeliest that make up `top_p`."""

    temperature: float
    top_p: float = 1.0
    seed: int = 0


class Draws:
    """One reply's draws. They depend on its seed and its own tokens alone, not on who else is answered."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = torch.Generator().manual_seed(sampling.seed)

    def token(self, shares: Tensor) -> int:
        """Return the next token, drawn from probabilities [V]."""
        logs = shares.double().cpu().log()
        flattened = ((logs - logs.max()) / self._sampling.temperature).softmax(dim=-1)
        ordered, tokens = flattened.sort(descending=True, stable=True)
        upto = ordered.cumsum(dim=0)
        kept = int((upto - ordered < self._sampling.top_p).sum())
        at = torch.rand(1, generator=self._generator, dtype=torch.float64) * upto[kept - 1]
        return int(tokens[min(int(torch.searchsorted(upto, at, right=True)), kept - 1)])
