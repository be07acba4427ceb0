"""What can be known of a household from its population and from a dialogue so far: Bayes' rule over manners.

Owns the posterior: which type of household this may be and which way it keeps to in each slot, after the
ways that its assistant has used in this dialogue, and so the most probable next way. Reads nothing of what
the user said, and nothing of other dialogues.
"""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from math import prod

from engine.data.worlds.households import Household, Source, WorldSpec, draw_manner_of_type

Seen = tuple[tuple[str, int], ...]
"""The ways of one slot that were used so far, and how often, in order."""


class SoFar:
    """What a household's assistant has said in one dialogue: the ways it chose, slot by slot."""

    def __init__(self, household: Household) -> None:
        self._of, self._used = household, dict[str, Counter[str]]()

    def hearing(self, choose: Callable[[str], str]) -> Callable[[str], str]:
        """Return a chooser whose choices are noted; a way that the population has not tells nothing of it."""

        def chosen(slot: str) -> str:
            way = choose(slot)
            of, ways = self._of, self._of.spec.ways_of(slot)
            if any(way == known.text and getattr(known, of.source) for known in ways):
                self._used.setdefault(slot, Counter())[way] += 1
            return way

        return chosen

    def expected(self) -> Callable[[str], str]:
        """Return the chooser of the most probable ways, by what was noted until now."""
        one, seen = self._of, {slot: tuple(sorted(used.items())) for slot, used in self._used.items()}
        types = _types(one.spec, one.seed, one.source)
        evidence = [
            prod(_slot(one.spec, one.source, slot, manner[slot], used)[0] for slot, used in seen.items())
            for manner in types
        ]
        weights = tuple(round(one / sum(evidence), 4) for one in evidence)
        return lambda slot: _most_probable(
            one.spec, one.seed, one.source, slot=slot, seen=seen.get(slot, ()), weights=weights
        )


@lru_cache(maxsize=200_000)
def _most_probable(
    spec: WorldSpec, seed: int, source: Source, *, slot: str, seen: Seen, weights: tuple[float, ...]
) -> str:
    """Return the most probable next way of a slot, for a household of types of these weights."""
    ways = spec.ways_of(slot)
    chances = [0.0] * len(ways)
    for manner, weight in zip(_types(spec, seed, source), weights, strict=True):
        if weight:
            evidence, following = _slot(spec, source, slot, manner[slot], seen)
            chances = [
                chance + weight * more / evidence for chance, more in zip(chances, following, strict=True)
            ]
    # Between equals the one that is more common in the population.
    ranked = [(round(chance, 9), getattr(way, source)) for chance, way in zip(chances, ways, strict=True)]
    return ways[ranked.index(max(ranked))].text


@lru_cache(maxsize=64)
def _types(spec: WorldSpec, seed: int, source: Source) -> tuple[dict[str, str], ...]:
    """The manner of each type of household; one stands for all where types count for nothing."""
    kinds = range(spec.archetypes if spec.archetype else 1)
    return tuple(draw_manner_of_type(spec, seed=seed, kind=kind, source=source)[0] for kind in kinds)


@lru_cache(maxsize=200_000)
def _slot(
    spec: WorldSpec, source: Source, slot: str, of_type: str, seen: Seen
) -> tuple[float, tuple[float, ...]]:
    """Return how probable what was `seen` is for such a household, and that times each next way's chance."""
    ways, spec = spec.ways_of(slot), spec.of_slot(slot)
    names, common = [way.text for way in ways], [getattr(way, source) for way in ways]
    most = names[common.index(max(common))]
    by_chance = {
        name: spec.conformity * (name == most) + (1 - spec.conformity) * weight / sum(common)
        for name, weight in zip(names, common, strict=True)
    }
    flat = [float(weight > 0) for weight in common] if spec.flat else common
    kept: list[tuple[str | None, float]] = [(None, 1 - spec.archetype - spec.own), (of_type, spec.archetype)]
    kept += [(name, spec.own * weight / sum(flat)) for name, weight in zip(names, flat, strict=True)]

    def chance(way: str, held: str | None) -> float:
        fidelity = spec.fidelity if held is not None else 0.0
        return fidelity * (way == held) + (1 - fidelity) * by_chance.get(way, 0.0)

    evidence, following = 0.0, [0.0] * len(names)
    for held, prior in kept:
        weight = prior * prod(chance(way, held) ** times for way, times in seen)
        evidence += weight
        if weight:
            following = [
                share + weight * chance(name, held) for share, name in zip(following, names, strict=True)
            ]
    return evidence, tuple(following)
