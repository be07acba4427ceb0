"""Which variants are one recipe made again from another seed: the A/A control of every difference.

Owns what "the same but for the seed" means: experiment, its version, parameters, data and base, and the same
of every run it is built on. Reads nothing; the store hands in where runs come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.results.variants import Variant
from engine.runs.runfolder import fingerprint


@dataclass(frozen=True, slots=True)
class Origin:
    """What decides a run, its seed apart. `upstream` maps a role to a run id."""

    experiment: str
    version: int
    seed: int
    data_hash: str
    base: str
    parameters: Mapping[str, Any]
    upstream: Mapping[str, str]


def repeats(variants: Iterable[Variant], origins: Mapping[str, Origin]) -> dict[str, str]:
    """Return variant id -> id of the variant that it repeats with another seed.

    Of several such variants the one made with default settings is repeated by the others, else the first.
    """
    groups: dict[tuple[str, str], list[tuple[Variant, str]]] = {}
    for variant in variants:
        found = _lineage(variant.run_id, origins)
        if found is not None:
            groups.setdefault((variant.name, found[0]), []).append((variant, found[1]))
    repeated = {}
    for group in groups.values():
        first, seeds = min(group, key=lambda entry: _rank(entry[0]))
        for variant, others in group:
            if variant.variant_id != first.variant_id and others != seeds:
                repeated[variant.variant_id] = first.variant_id
    return repeated


def _rank(variant: Variant) -> tuple[bool, str, str]:
    return not variant.default, variant.made_at, variant.variant_id


def _lineage(run_id: str, origins: Mapping[str, Origin]) -> tuple[str, str] | None:
    """The hash of a run and its upstreams without seeds, and that of their seeds; None where one is gone."""
    origin = origins.get(run_id)
    if origin is None:
        return None
    above = {role: _lineage(run, origins) for role, run in sorted(origin.upstream.items())}
    if None in above.values():
        return None
    known = {role: found for role, found in above.items() if found is not None}
    made = [origin.experiment, origin.version, origin.data_hash, origin.base, dict(origin.parameters)]
    recipe = fingerprint([*made, {role: found[0] for role, found in known.items()}], 16)
    return recipe, fingerprint([origin.seed, {role: found[1] for role, found in known.items()}], 16)
