"""Many comparisons from tables of rows at once, as tests write them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypedDict, Unpack

from engine.core.errors import unknown_name
from engine.stats.compare import Comparison, compare, corrected
from engine.stats.pairing import Table, Valued, index, pair


class Options(TypedDict, total=False):
    """What a comparison may be told; the defaults are those of `compare`."""

    margin: float
    confidence: float
    seed: int
    resamples: int
    equal_margin: float | None
    higher_is_better: bool
    catastrophic_drop: float


def leaderboard(
    tables: Mapping[str, Iterable[Valued]],
    *,
    reference: str,
    outside_family: Collection[str] = (),
    **options: Unpack[Options],
) -> list[Comparison]:
    """Return one comparison per table, the reference's own included, in the given order.

    Holm's family is every variant but the reference and those `outside_family` (bounds such as ceilings),
    which get no `p_holm`. Raises EngineError when `reference` is not among the tables.
    """
    if reference not in tables:
        raise unknown_name("variant", reference, tables)
    indexed = {variant: index(rows, name=variant) for variant, rows in tables.items()}
    rows = [_row(variant, indexed, reference, options) for variant in indexed]
    return corrected(rows, outside_family={reference, *outside_family})


def _row(variant: str, tables: Mapping[str, Table], reference: str, options: Options) -> Comparison:
    comparison = compare(pair(tables[variant], tables[reference]), **options)
    return replace(comparison, variant=variant, reference=reference)
