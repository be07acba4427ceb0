"""Freezing a plan before test is looked at, and reading afterwards what came of it.

Refuses to plan a verdict that somebody has already read. The plan itself: engine/results/comparing/frozen.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core.errors import EngineError, unknown_name
from engine.core.machine import refuse_if_read_only
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results import store
from engine.results.comparing import frozen, looks, row_role
from engine.results.comparing.beside import second_metric
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.frozen import Frozen
from engine.results.comparing.remarks import NotComputed
from engine.runs.runfolder import now
from engine.stats.levels import CATASTROPHE
from engine.stats.paired_tests import holm
from engine.stats.verdicts import judging_p, verdict


@dataclass(frozen=True, slots=True)
class Planned:
    """One verdict that was planned, as it came out. `p` is corrected over the plan's family; `row` is the
    table's."""

    variant: str
    metric: str
    row: Mapping[str, Any] | None
    p: float | None
    verdict: str


def freeze(
    ws: Workspace,
    *,
    variants: Sequence[str] = (),
    primary: str | None = None,
    further: Sequence[str] = (),
    reference: str | None = None,
    margin: float = 0.0,
) -> Frozen:
    """Write down what test will be asked, and return it.

    `variants` are by default all that compete on val, `primary` the study's primary metric; `margin` is how
    much better a persona must be to count, in its unit. Raises EngineError for names nobody knows, for a
    margin below 0, and for verdicts that were read already. Side effect: appends to data/frozen.jsonl.
    """
    refuse_if_read_only(ws, "freeze a plan")
    if margin < 0:
        raise EngineError(f"The margin is {margin}.", "A margin is 0 or more.")
    decides = metrics.chosen(ws, primary)
    others = [metrics.chosen(ws, name) for name in dict.fromkeys(further) if name != decides.name]
    _refuse_without_direction([decides, *others])
    found = compare_variants(ws, metric=decides.name, split="val", reference=reference)
    known = {row["variant"]: row["variant_id"] for row in found["rows"] if row_role.competes(row)}
    for name in variants:
        if name not in known:
            raise unknown_name("variant that competes on val", name, known)
    chosen = {known[name]: name for name in variants or known}
    if not chosen:
        raise EngineError(
            f"Nothing competes with {found['reference']} on val yet.", "Run what you mean to test first."
        )
    at = looks.at(found)
    seen = looks.seen(ws, at)
    plan = Frozen(
        at=now(),
        test_set=at.name,
        protocol=found["protocol"],
        reference=found["reference"],
        primary=decides.name,
        further=tuple(one.name for one in others),
        variants=chosen,
        margins={"better": margin, "catastrophic": CATASTROPHE},
        tests=dict(frozen.TESTS),
        looks=len(seen),
        reference_id=next(row["variant_id"] for row in found["rows"] if row_role.is_reference(row)),
    )
    _refuse_seen([look for look in seen if any(plan.holds(one) for one in _read_with(ws, look))])
    return frozen.write(ws, plan)


def outcomes(ws: Workspace, plan: Frozen) -> list[Planned]:
    """Return what was planned as it came out, the primary metric first; side effect: it is looked at.

    p values are corrected by Holm over the plan's variants in the primary metric, and over variants times
    metrics in the further ones. A verdict without scores has no row.
    """
    return [*_family(ws, plan, (plan.primary,)), *(_family(ws, plan, plan.further) if plan.further else ())]


def _family(ws: Workspace, plan: Frozen, names: Sequence[str]) -> list[Planned]:
    rows: list[tuple[str, str, Mapping[str, Any] | None]] = []
    for name in names:
        table = _table(ws, plan, name)
        rows += [(variant, name, table.get(one)) for one, variant in plan.variants.items()]
    size = sum(row is not None for _, _, row in rows)
    different = holm([None if row is None else judging_p(row, family=size) for _, _, row in rows])
    equal = holm([None if row is None else row["p_equal"] for _, _, row in rows])
    return [
        Planned(variant, name, row, p, "" if row is None else _verdict(row, p, same, METRICS[name]))
        for (variant, name, row), p, same in zip(rows, different, equal, strict=True)
    ]


def _verdict(row: Mapping[str, Any], p: float | None, same: float | None, metric: Metric) -> str:
    return verdict({**row, "p_holm": p, "p_equal_holm": same}, higher_is_better=metric.higher_is_better)


def _table(ws: Workspace, plan: Frozen, metric: str) -> dict[str, Mapping[str, Any]]:
    named = {one.variant_id: one.variant for one in store.overview(ws).variants.values()}
    reference = named.get(plan.reference_id, plan.reference)
    asked: dict[str, Any] = {"protocol": plan.protocol, "reference": reference, "bands": False}
    try:
        there = compare_variants(ws, metric=metric, split="val", **asked)
        names = [row["variant"] for row in there["rows"] if row["variant_id"] in plan.variants]
        alike = METRICS[metric].unit == METRICS[plan.primary].unit
        margin = plan.margins["better"] if alike else 0.0
        found = (
            compare_variants(ws, metric=metric, split="test", variants=names, margin=margin, **asked)
            if names
            else {"rows": []}
        )
    except NotComputed:
        return {}
    return {row["variant_id"]: row for row in found["rows"]}


def _refuse_without_direction(asked: Iterable[Metric]) -> None:
    for one in asked:
        if one.higher_is_better is None:
            raise EngineError(
                f"{one.label} is neither better nor worse when it is higher, so no verdict hangs on it.",
                "Plan a metric that has a direction.",
            )


def _read_with(ws: Workspace, look: looks.Look) -> list[looks.Look]:
    """A look, and what was read with it: the primary metric is shown with the one that must hold beside."""
    primary = metrics.primary(ws)
    second = second_metric(ws, primary)
    if second is None or look.metric != primary.name:
        return [look]
    return [look, replace(look, metric=second.name)]


def _refuse_seen(seen: Sequence[looks.Look]) -> None:
    if seen:
        told = "; ".join(
            f"{look.variant} in {METRICS[look.metric].label}, {look.at[:10]}" for look in seen[:5]
        )
        more = f" and {len(seen) - 5} more" if len(seen) > 5 else ""
        raise EngineError(
            f"Test was looked at before, so this can be planned no longer: {told}{more}.",
            "Plan what nobody has seen: --variant NAME, --primary METRIC. New data has a test of its own.",
        )
