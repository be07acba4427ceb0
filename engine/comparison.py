"""The comparison table that command line and app both show. Owns the choice of reference and protocol.

Scores under different protocols never meet in one table: the newest protocol that has the reference is
used, and the others are named.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from engine import store
from engine.errors import EngineError, unknown_name
from engine.paths import Workspace
from engine.stats.compare import Comparison, leaderboard
from engine.stats.metrics import metric as find_metric
from engine.variants import Variant, resolve

DEFAULT_REFERENCES = ("unified", "base")
BOUND = "ceiling"


def compare_variants(
    ws: Workspace,
    *,
    reference: str | None = None,
    metric: str = "embedding_similarity",
    split: str = "test",
    protocol: str | None = None,
) -> dict[str, Any]:
    """Return the leaderboard of one protocol as one JSON object, fractions throughout.

    Keys: reference, metric, split, protocol, rows (the reference first, then the best, bounds last) and
    other_protocols. A row holds the fields of `Comparison`, and variant_id, family, run_id, aliases.
    `reference` is by default unified where it is scored, else base. Raises EngineError for names nobody
    knows and where nothing is scored.
    """
    kind = find_metric(metric)
    scored = store.coverage(ws)
    scored = scored[scored["split"] == split]
    if scored.empty:
        raise EngineError(f"Nothing is scored on {split} yet.", "Start with: python -m engine run unified")
    variants = {variant.variant: variant for variant in store.variants(ws)}
    chosen, against = _choose(scored, list(variants.values()), protocol=protocol, reference=reference)
    scores = store.score_table(ws, metric=metric, split=split, protocol=chosen)
    found = leaderboard(
        {str(name): _rows(table) for name, table in scores.groupby("variant", sort=False)},
        reference=against,
        outside_family=[name for name, variant in variants.items() if variant.family == BOUND],
        higher_is_better=kind.higher_is_better is not False,
    )
    return {
        "reference": against,
        "metric": metric,
        "split": split,
        "protocol": chosen,
        "rows": [
            _record(row, variants[row.variant]) for row in _ordered(found, variants, kind.higher_is_better)
        ],
        "other_protocols": [name for name in dict.fromkeys(scored["protocol"]) if name != chosen],
    }


def _choose(
    scored: pd.DataFrame, variants: list[Variant], *, protocol: str | None, reference: str | None
) -> tuple[str, str]:
    """Return the protocol and the reference's name on screens; protocols come newest first."""
    known = list(dict.fromkeys(scored["protocol"]))
    if protocol is not None and protocol not in known:
        raise unknown_name("protocol", protocol, known)
    protocols = known if protocol is None else [protocol]
    for wanted in (reference,) if reference is not None else DEFAULT_REFERENCES:
        for candidate in protocols:
            names = set(scored.loc[scored["protocol"] == candidate, "variant"])
            found = resolve(wanted, [variant for variant in variants if variant.variant in names])
            if found is not None:
                return candidate, found.variant
    if reference is not None:
        raise unknown_name(
            "scored variant", reference, scored.loc[scored["protocol"].isin(protocols), "variant"]
        )
    return protocols[0], str(scored.loc[scored["protocol"] == protocols[0], "variant"].iloc[0])


def _rows(table: pd.DataFrame) -> Iterable[tuple[str, str, float | None]]:
    for example_id, persona_id, value in zip(
        table["example_id"], table["persona_id"], table["value"], strict=True
    ):
        yield example_id, persona_id, None if pd.isna(value) else float(value)


def _ordered(
    found: list[Comparison], variants: dict[str, Variant], higher_is_better: bool | None
) -> list[Comparison]:
    sign = 1.0 if higher_is_better is False else -1.0

    def place(row: Comparison) -> tuple[bool, bool, float, str]:
        level = sign * row.mean if row.mean is not None else float("inf")
        return row.variant != row.reference, variants[row.variant].family == BOUND, level, row.variant

    return sorted(found, key=place)


def _record(row: Comparison, variant: Variant) -> dict[str, Any]:
    origin = {"variant_id": variant.variant_id, "family": variant.family, "run_id": variant.run_id}
    return {**row.as_json(), **origin, "aliases": list(variant.aliases)}
