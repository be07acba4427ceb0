"""The domain's second primary metric in a table of the first: whether what is worded better is also done.

Owns where it is asked for (a table of the domain's primary metric) and the record that a row holds of it.
engine/stats/co_primary.py says what it does to a verdict.
"""

from collections.abc import Mapping
from typing import Any

from engine.core.paths import Workspace
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.registry import domain_of
from engine.stats.compare import CANCELS, Comparison
from engine.stats.shares import most


def second_metric(ws: Workspace, metric: Metric) -> Metric | None:
    """Return the metric that must hold beside `metric`; None where the study's domain asks for none."""
    domain = domain_of(ws)
    if domain.co_primary is None or metric.name != metrics.primary(ws).name:
        return None
    return metrics.of_study(ws)[domain.co_primary.metric]


def beside(ws: Workspace, second: Metric | None, row: Comparison | None) -> dict[str, Any] | None:
    """Return what a row holds of the second metric, as gains; None where a variant is not scored in it."""
    asked = domain_of(ws).co_primary
    if second is None or row is None or asked is None:
        return None
    low, high = row.ci_low, row.ci_high
    if second.sign < 0:
        low, high = _minus(high), _minus(low)
    if second.unit == "fraction" and row.n_paired > 1 and (low is None or low == high == 0):
        # Too few differ for an interval. What the others could lose or gain is bounded all the same: by how
        # many personas do, and where nobody does by how many examples were seen to do neither.
        low, high = -_at_most(row.losses, row), _at_most(row.wins, row)
    return {
        "metric": second.name,
        "label": second.label,
        "mean": row.mean,
        "delta": row.delta if second.sign > 0 else _minus(row.delta),
        "ci_low": low,
        "ci_high": high,
        "n_paired": row.n_paired,
        "margin": asked.margin,
        "words": list(asked.words),
    }


def _at_most(differ: int, row: Comparison) -> float:
    seen = row.n_paired if differ or row.reason == CANCELS else row.n_examples
    return most(differ, seen)


def unheld(ws: Workspace, second: Metric | None, held: Mapping[str, Comparison]) -> list[str]:
    """Return what to say where the second metric should hold and nothing is scored in it."""
    asked = domain_of(ws).co_primary
    if second is None or held or asked is None:
        return []
    return [f"{second.label} is not scored here, so that verdicts speak of {asked.words[0]} alone."]


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
