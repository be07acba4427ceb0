"""The adapters that stand for personas: weighted sums, and the distinct ones behind them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch

from engine.core.errors import EngineError
from engine.lm.effects import Stored, Weights
from engine.lm.merge import Stack, stacked
from engine.lm.merge_weights import Matrix, Mix
from engine.lm.recipes import Shelf


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The adapters to merge: what stands for each persona, and the distinct adapters behind it."""

    sums: Mapping[str, tuple[Weights, ...]]
    adapters: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, own: Mapping[str, Sequence[Stored]]) -> Self:
        """Return what stands for each persona as sources. Raises EngineError where it is no LoRA."""
        sums = {persona: tuple(_weights(effect) for effect in effects) for persona, effects in own.items()}
        return cls(sums, tuple(sorted({(one.run, one.name) for parts in sums.values() for one in parts})))

    @property
    def personas(self) -> list[str]:
        return list(self.sums)

    def parts(self, mix: Mix) -> tuple[Weights, ...]:
        """Return the mix as a weighted sum of distinct adapters, the largest weight first."""
        total: dict[tuple[str, str], float] = {}
        for persona, share in mix.weights.items():
            for one in self.sums[persona]:
                total[one.run, one.name] = total.get((one.run, one.name), 0.0) + share * one.weight
        ordered = sorted(total.items(), key=lambda entry: -entry[1])
        return tuple(Weights(run, name, weight) for (run, name), weight in ordered)


def shares_of(sources: Sources, parts: Sequence[Weights]) -> torch.Tensor:
    """Return a weighted sum as weights over the distinct adapters, [n]."""
    shares = torch.zeros(len(sources.adapters))
    for one in parts:
        shares[sources.adapters.index((one.run, one.name))] += one.weight
    return shares


def between(sources: Sources, shelf: Shelf, measure: Callable[[dict[str, Stack]], torch.Tensor]) -> Matrix:
    """Return what `measure` finds between any two adapters, as between personas, [n, n]."""
    shares = torch.stack([shares_of(sources, parts) for parts in sources.sums.values()]).double()
    measured = measure(stacked([shelf.lora(run, name) for run, name in sources.adapters]))
    return (shares @ measured @ shares.T).numpy()


def _weights(effect: Stored) -> Weights:
    if not isinstance(effect, Weights):
        raise EngineError(
            f"{effect.run} holds {effect.kind}, which cannot be merged.", "Choose LoRA adapters."
        )
    return effect
