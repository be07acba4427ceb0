"""Pairs two tables of scores example by example. The one place that decides what is compared with what.

An example counts where both tables hold a value for it. Persona means are taken over exactly those examples,
so a persona's two means always rest on the same examples; the persona is the unit of every statistic.

A statistic of the whole set (a macro-F1) has no mean over personas: each persona then brings what her
examples count, and the statistic is taken of their sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.core.errors import EngineError
from engine.stats.levels import NOISE
from engine.stats.seeds import Retrained

Valued = tuple[str, str, float | None]  # example_id, persona_id, value (None: undefined)
Vector = NDArray[np.float64]

Total = Callable[[Mapping[str, Vector]], Vector]  # sums by name -> one value each, NaN where undefined

_MEANS = ("candidate", "reference", "difference", "square")
_COUNTS = ("n_only_candidate", "n_null_candidate", "n_null_reference", "n_null_both")


def valued(table: pd.DataFrame) -> Iterator[Valued]:
    """Yield the rows of a table of scores (example_id, persona_id, value); NaN is None."""
    values = table["value"].astype(object).where(table["value"].notna(), None)
    yield from zip(table["example_id"], table["persona_id"], values, strict=True)


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What each persona's shared examples count for two variants, [personas, names], and their `total`."""

    names: tuple[str, ...]
    candidate: Vector
    reference: Vector
    total: Total

    @property
    def differ(self) -> int:
        """For how many personas the two count anything differently."""
        return int((self.candidate != self.reference).any(axis=1).sum())

    def values(self, sums: Vector) -> Vector:
        """Return the statistic of sums [n, names], as [n]."""
        return self.total({name: sums[:, place] for place, name in enumerate(self.names)})


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """Two variants on the examples they share.

    `candidate`, `reference` and `differences` are persona means, of shape (len(personas),), in the order of
    `personas` (sorted); of a statistic of the whole set, each persona's own, and `counts` is what the whole
    is computed from. `examples` says how many each mean rests on, `variances` the (n - 1) variance of a
    persona's differences, example by example (0 where she has one); None where examples are not known
    singly. `retrained` is what other seeds would change, where means are over several. Examples are counted
    once each: `n_examples` are paired, `n_only_*` stand in one table only, `n_null_*` stand in both but are
    undefined in the named table alone (or in both).
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
    counts: Counts | None = None
    examples: Vector | None = None
    variances: Vector | None = None
    retrained: Retrained | None = None

    @property
    def n_paired(self) -> int:
        """How many personas have at least one paired example."""
        return len(self.personas)


@dataclass(frozen=True, slots=True)
class Table:
    """The scores of one variant in one metric: example_id -> (persona_id, value)."""

    rows: dict[str, tuple[str, float | None]]


def index(rows: Iterable[Valued], *, name: str = "table") -> Table:
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


def pair(candidate: Table | Iterable[Valued], reference: Table | Iterable[Valued]) -> Pairing:
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
        examples=np.array([len(pairs[p]) for p in personas], dtype=np.float64),
        variances=np.array([_variance([a - b for a, b in pairs[p]]) for p in personas], dtype=np.float64),
    )


def pairing_of(
    table: pd.DataFrame, held: Mapping[str, int], *, personas: Collection[str] | None = None
) -> Pairing:
    """Return a pairing that was added up by persona: one row each with persona_id, candidate, reference,
    difference, square (the mean of the squared differences) and the counts of Pairing.

    `held` says how many examples of each persona the reference has; `personas` leaves out all others. Raises
    EngineError when an example (`misplaced`) belongs to different personas in the two tables.
    """
    rows = table if personas is None else table[table["persona_id"].isin(list(personas))]
    for example in rows["misplaced"][rows["misplaced"] != ""]:
        raise EngineError(
            f"Example {example} belongs to different personas in two tables.",
            "Compare scores of the same data only.",
        )
    counts = (*_COUNTS, "n_examples")
    held_of = {name: rows[name].to_numpy() for name in (*counts, *_MEANS, "persona_id")}
    counted = {name: int(held_of[name].sum()) for name in counts}
    shared = sum(counted.values()) - counted["n_only_candidate"]
    order = np.argsort(held_of["persona_id"], kind="stable")
    order = order[held_of["n_examples"][order] > 0]
    of = {name: held_of[name][order].astype(np.float64) for name in (*_MEANS, "n_examples")}
    return Pairing(
        personas=tuple(map(str, held_of["persona_id"][order])),
        candidate=of["candidate"],
        reference=of["reference"],
        differences=_without_noise(of["difference"]),
        n_examples=counted["n_examples"],
        n_only_candidate=counted["n_only_candidate"],
        n_only_reference=_examples(held, personas) - shared,
        n_null_candidate=counted["n_null_candidate"],
        n_null_reference=counted["n_null_reference"],
        n_null_both=counted["n_null_both"],
        examples=of["n_examples"],
        variances=_variances(of["n_examples"], of["difference"], of["square"]),
    )


def counted_pairing(
    table: pd.DataFrame, held: Mapping[str, int], total: Total, *, personas: Collection[str] | None = None
) -> Pairing:
    """Return a pairing of a statistic of the whole set, from what each persona's shared examples count.

    `table` has a row a persona, side (`of_reference`) and name (`part`) with its `total`, and `n_examples`,
    how many examples of the persona both hold. Where candidate and reference are one variant, its rows are
    those of the candidate alone. A persona whose own statistic is undefined counts in the whole only.
    """
    rows = table if personas is None else table[table["persona_id"].isin(list(personas))]
    names = tuple(sorted(set(rows["part"])))
    known = sorted(set(rows["persona_id"]))
    sides = [_sums(rows[rows["of_reference"] == side], known, names) for side in (False, True)]
    ours, theirs = sides if rows["of_reference"].any() or rows.empty else (sides[0], sides[0])
    counts = Counts(names, ours, theirs, total)
    own, other = (counts.values(side) if len(known) else np.zeros(0) for side in (ours, theirs))
    defined = np.isfinite(own) & np.isfinite(other)
    shared = int(rows.groupby("persona_id")["n_examples"].max().sum())
    return Pairing(
        personas=tuple(persona for persona, is_defined in zip(known, defined, strict=True) if is_defined),
        candidate=own[defined],
        reference=other[defined],
        differences=_without_noise((own - other)[defined]),
        n_examples=shared,
        n_only_candidate=0,
        n_only_reference=_examples(held, personas) - shared,
        n_null_candidate=0,
        n_null_reference=0,
        n_null_both=0,
        counts=counts,
    )


def _sums(rows: pd.DataFrame, personas: list[str], names: tuple[str, ...]) -> Vector:
    held = rows.pivot_table(index="persona_id", columns="part", values="total", aggfunc="sum", fill_value=0.0)
    filled = held.reindex(index=personas, columns=list(names), fill_value=0.0)
    return filled.to_numpy(np.float64).reshape(len(personas), len(names))


def _examples(held: Mapping[str, int], personas: Collection[str] | None) -> int:
    return sum(n for persona, n in held.items() if personas is None or persona in personas)


def _variances(n: Vector, mean: Vector, square: Vector) -> Vector:
    found = np.maximum(square - mean**2, 0.0) * n / np.maximum(n - 1, 1)
    return np.where((n > 1) & (found > NOISE), found, 0.0)


def _variance(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    found = float(np.var(values, ddof=1))
    return found if found > NOISE else 0.0


def _means(values: list[list[float]]) -> Vector:
    """Return the exactly rounded mean of each list, whatever its order."""
    return np.array([math.fsum(of_persona) / len(of_persona) for of_persona in values], dtype=np.float64)


def _without_noise(differences: Vector) -> Vector:
    return np.where(np.abs(differences) < NOISE, 0.0, differences)
