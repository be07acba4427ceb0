"""Variants that were scored under other protocols only, beside a comparison that the user asked to widen.

Owns how such a variant is paired (example by example where the examples are the same, else persona by
persona) and that it gets no verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from engine.core.paths import Workspace
from engine.domains.metric import Metric
from engine.results import store
from engine.results.comparing import protocol_guard
from engine.results.comparing.scene import Scene
from engine.results.variants import Variant
from engine.stats.compare import Comparison, compare
from engine.stats.pairing import Pairing, Row, Table, by_persona, index, pair


@dataclass(frozen=True, slots=True)
class Other:
    """Another protocol: the variants that only it has scores of, and what differs from the chosen one."""

    protocol: str
    variants: tuple[Variant, ...]
    differs: tuple[protocol_guard.Difference, ...]

    @property
    def words(self) -> str:
        """What differs, in one line."""
        return protocol_guard.told(self.differs)

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        differs = [{"field": one.field, "here": one.here, "there": one.there} for one in self.differs]
        names = [one.variant for one in self.variants]
        return {"protocol": self.protocol, "variants": names, "differs": differs, "words": self.words}


def others(scene: Scene) -> list[Other]:
    """Return every other protocol, newest first; a variant counts for the newest it is scored under."""
    known = {variant.variant_id for variant in scene.under(scene.protocol)}
    found = []
    for protocol in scene.protocols:
        if protocol == scene.protocol:
            continue
        fresh = [variant for variant in scene.under(protocol) if variant.variant_id not in known]
        known |= {variant.variant_id for variant in fresh}
        found.append(Other(protocol, tuple(fresh), tuple(scene.differences(protocol))))
    return found


def compared(ws: Workspace, scene: Scene, other: Other) -> list[tuple[Variant, Comparison, str]]:
    """Return each variant of another protocol against the reference, and what it was paired by.

    No comparison gets a `p_holm`: across protocols there is no family, and no verdict.
    """
    names = [one.variant for one in other.variants]
    here = (scene.protocol, scene.reference.variant)
    found = paired(ws, scene.metric, scene.split, reference=here, protocol=other.protocol, names=names)
    better = scene.metric.higher_is_better is not False
    told = []
    for variant in other.variants:
        if variant.variant in found:
            pairing, by = found[variant.variant]
            row = compare(pairing, higher_is_better=better)
            told.append(
                (variant, replace(row, variant=variant.variant, reference=scene.reference.variant), by)
            )
    return told


def paired(
    ws: Workspace,
    metric: Metric,
    split: str,
    *,
    reference: tuple[str, str],
    protocol: str,
    names: Collection[str],
    personas: Collection[str] | None = None,
) -> dict[str, tuple[Pairing, str]]:
    """Return each named variant of another protocol against the reference (its protocol and name), and what
    it was paired by; only those that are scored in the metric. `personas` leaves out all others."""
    ours = _tables(ws, metric, split, reference[0], [reference[1]], personas).get(reference[1], Table({}))
    theirs = _tables(ws, metric, split, protocol, names, personas)
    return {name: _pair(table, ours) for name, table in theirs.items()}


def _pair(candidate: Table, reference: Table) -> tuple[Pairing, str]:
    if any(
        example in reference.rows and reference.rows[example][0] == persona
        for example, (persona, _) in candidate.rows.items()
    ):
        return pair(candidate, reference), "example"
    return pair(by_persona(candidate), by_persona(reference)), "persona"


def _tables(
    ws: Workspace,
    metric: Metric,
    split: str,
    protocol: str,
    names: Collection[str],
    personas: Collection[str] | None,
) -> dict[str, Table]:
    if not names:
        return {}
    scores = store.score_table(ws, metric=metric.name, split=split, protocol=protocol)
    if personas is not None:
        scores = scores[scores["persona_id"].isin(list(personas))]
    return {
        str(name): index(_rows(table), name=str(name))
        for name, table in scores.groupby("variant", sort=False)
        if name in names
    }


def _rows(table: pd.DataFrame) -> Iterable[Row]:
    values = table["value"].astype(object).where(table["value"].notna(), None)
    return zip(table["example_id"], table["persona_id"], values, strict=True)
