"""Who stands in for whom in a placebo: a fixed pairing in which nobody gets what is her own. Pure."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pairing:
    """`donors` maps each persona to her stand-in. `is_permutation` says that everybody stands in once."""

    donors: Mapping[str, str]
    is_permutation: bool


def derange(kinds: Mapping[str, Hashable], *, seed: int) -> Pairing | None:
    """Return a seeded pairing of personas in which every stand-in is of another kind; None if all are alike.

    A kind is what personas share: a cluster, or each her own. Sorted by kind, everybody gets the one as many
    places on as the largest kind has members, so no two of a kind meet; the pairing is a permutation. Where
    one kind holds more than half of all, its members share the others in turn, and those get members of it.
    """
    groups: dict[Hashable, list[str]] = {}
    for persona in sorted(kinds):
        groups.setdefault(kinds[persona], []).append(persona)
    if len(groups) < 2:
        return None
    shuffle = random.Random(f"placebo/{seed}")
    members = list(groups.values())
    for group in members:
        shuffle.shuffle(group)
    shuffle.shuffle(members)
    largest = max(members, key=len)
    order = [persona for group in members for persona in group]
    if 2 * len(largest) <= len(order):
        step = len(largest)
        shifted = order[step:] + order[:step]
        return Pairing(dict(zip(order, shifted, strict=True)), is_permutation=True)
    others = [persona for group in members if group is not largest for persona in group]
    donors = {persona: others[place % len(others)] for place, persona in enumerate(largest)}
    donors |= dict(zip(others, largest, strict=False))
    return Pairing(donors, is_permutation=False)
