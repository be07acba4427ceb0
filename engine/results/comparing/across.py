"""Variants that were scored under other protocols only, beside a comparison that the user asked to widen.

Owns how such a variant is paired (example by example where the examples are the same, else persona by
persona) and that it gets no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from engine.core.paths import Workspace
from engine.results import store
from engine.results.comparing import protocol_guard
from engine.results.comparing.scene import Scene
from engine.results.variants import Variant
from engine.stats.compare import Comparison, compare
from engine.stats.pairing import Row, Table, by_persona, index, pair


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
    if not other.variants:
        return []
    reference = _tables(ws, scene, scene.protocol, [scene.reference])[scene.reference.variant]
    tables = _tables(ws, scene, other.protocol, other.variants)
    higher_is_better = scene.metric.higher_is_better is not False
    found = []
    for variant in other.variants:
        ours, theirs, by = _alike(tables[variant.variant], reference)
        row = compare(pair(ours, theirs), higher_is_better=higher_is_better)
        named = replace(row, variant=variant.variant, reference=scene.reference.variant)
        found.append((variant, named, by))
    return found


def _alike(candidate: Table, reference: Table) -> tuple[Table, Table, str]:
    if any(
        example in reference.rows and reference.rows[example][0] == persona
        for example, (persona, _) in candidate.rows.items()
    ):
        return candidate, reference, "example"
    return by_persona(candidate), by_persona(reference), "persona"


def _tables(ws: Workspace, scene: Scene, protocol: str, variants: Iterable[Variant]) -> dict[str, Table]:
    scores = store.score_table(ws, metric=scene.metric.name, split=scene.split, protocol=protocol)
    grouped = {str(name): table for name, table in scores.groupby("variant", sort=False)}
    return {one.variant: index(_rows(grouped[one.variant]), name=one.variant) for one in variants}


def _rows(table: pd.DataFrame) -> Iterable[Row]:
    columns = (table["example_id"], table["persona_id"], table["value"])
    for example_id, persona_id, value in zip(*columns, strict=True):
        yield example_id, persona_id, None if pd.isna(value) else float(value)
