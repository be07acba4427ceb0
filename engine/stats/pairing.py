"""Pairs two tables of scores example by example. The one place that decides what is compared with what.

An example counts where both tables hold a value for it. Persona means are taken over exactly those examples,
so a persona's two means always rest on the same examples; the persona is the unit of every statistic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.core.errors import EngineError

Row = tuple[str, str, float | None]  # example_id, persona_id, value (None: undefined)
Vector = NDArray[np.float64]

_NOISE = 1e-12  # differences below it come from rounding


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """Two variants on the examples they share.

    `candidate`, `reference` and `differences` are persona means, of shape (len(personas),), in the order of
    `personas` (sorted). Examples are counted once each: `n_examples` are paired, `n_only_*` stand in one
    table only, `n_null_*` stand in both but are undefined in the named table alone (or in both).
    """

    personas: tuple[str, ...]
    candidate: Vector
    reference: Vector
    differences: Vector
    n_examples: int
    n_only_candidate: int
    n_only_reference: int
    n_null_candidate: int
    n_null_reference: int
    n_null_both: int

    @property
    def n_paired(self) -> int:
        """How many personas have at least one paired example."""
        return len(self.personas)

    @property
    def overlap(self) -> float | None:
        """The share of examples of either table that both hold; None when both are empty."""
        both = self.n_examples + self.n_null_candidate + self.n_null_reference + self.n_null_both
        either = both + self.n_only_candidate + self.n_only_reference
        return both / either if either else None


@dataclass(frozen=True, slots=True)
class Table:
    """The scores of one variant in one metric: example_id -> (persona_id, value)."""

    rows: dict[str, tuple[str, float | None]]


def index(rows: Iterable[Row], *, name: str = "table") -> Table:
    """Return `rows` by example. Raises EngineError on an example given twice or a value not finite."""
    found: dict[str, tuple[str, float | None]] = {}
    for example_id, persona_id, value in rows:
        if example_id in found:
            raise EngineError(
                f"Example {example_id} is scored twice in {name}.",
                "Score tables hold one row per variant, split, protocol and example.",
            )
        if value is not None and not math.isfinite(value):
            raise EngineError(
                f"Example {example_id} has the value {value} in {name}.",
                "An undefined metric is None, never NaN.",
            )
        found[example_id] = (persona_id, value)
    return Table(found)


def by_persona(table: Table) -> Table:
    """Return one row a persona: her mean over the examples that have a value.

    For scores whose examples cannot be matched: of other example sets, or published as means.
    """
    values: dict[str, list[float]] = {}
    for persona_id, value in table.rows.values():
        found = values.setdefault(persona_id, [])
        if value is not None:
            found.append(value)
    means = {name: math.fsum(found) / len(found) if found else None for name, found in values.items()}
    return Table({f"persona:{name}": (name, mean) for name, mean in means.items()})


def pair(candidate: Table | Iterable[Row], reference: Table | Iterable[Row]) -> Pairing:
    """Return `candidate` against `reference`, example by example.

    Raises EngineError when an example belongs to different personas in the two tables.
    """
    ours = candidate if isinstance(candidate, Table) else index(candidate, name="the candidate")
    theirs = reference if isinstance(reference, Table) else index(reference, name="the reference")
    pairs: dict[str, list[tuple[float, float]]] = {}
    only_candidate = null_candidate = null_reference = null_both = 0
    for example_id, (persona_id, value) in ours.rows.items():
        other = theirs.rows.get(example_id)
        if other is None:
            only_candidate += 1
            continue
        if other[0] != persona_id:
            raise EngineError(
                f"Example {example_id} belongs to {persona_id} in one table and to {other[0]} in the other.",
                "Compare scores of the same data only.",
            )
        if value is None or other[1] is None:
            null_both += value is None and other[1] is None
            null_candidate += value is None and other[1] is not None
            null_reference += value is not None and other[1] is None
        else:
            pairs.setdefault(persona_id, []).append((value, other[1]))
    personas = tuple(sorted(pairs))
    n_shared = len(ours.rows) - only_candidate
    return Pairing(
        personas=personas,
        candidate=_means([[value for value, _ in pairs[p]] for p in personas]),
        reference=_means([[value for _, value in pairs[p]] for p in personas]),
        differences=_without_noise(_means([[a - b for a, b in pairs[p]] for p in personas])),
        n_examples=sum(len(values) for values in pairs.values()),
        n_only_candidate=only_candidate,
        n_only_reference=len(theirs.rows) - n_shared,
        n_null_candidate=null_candidate,
        n_null_reference=null_reference,
        n_null_both=null_both,
    )


def _means(values: list[list[float]]) -> Vector:
    """Return the exactly rounded mean of each list, whatever its order."""
    return np.array([math.fsum(of_persona) / len(of_persona) for of_persona in values], dtype=np.float64)


def _without_noise(differences: Vector) -> Vector:
    return np.where(np.abs(differences) < _NOISE, 0.0, differences)
