"""How a metric says its own numbers, wherever they are shown."""

from __future__ import annotations

import math

import pytest

from engine.domains.metric import Metric
from engine.domains.metrics import METRICS

SCORE, ERROR = METRICS["embedding_similarity"], METRICS["rating_mae"]


@pytest.mark.parametrize(
    ("metric", "level", "change", "spread", "size"),
    [
        (SCORE, "82.1", "+2.3", "−0.4 to +2.3", "0.4"),
        (ERROR, "0.82", "+0.02", "−0.004 to +0.02", "0.00"),
    ],
    ids=["points", "own scale"],
)
def test_numbers_are_worded_on_the_metrics_scale(
    metric: Metric, level: str, change: str, spread: str, size: str
) -> None:
    assert metric.level(0.8214) == level
    assert metric.change(0.0231) == change
    assert metric.spread(-0.004, 0.0231) == spread
    assert metric.size(-0.004) == size


@pytest.mark.parametrize("metric", [SCORE, ERROR], ids=["points", "own scale"])
def test_what_is_not_known_is_a_dash(metric: Metric) -> None:
    assert metric.level(None) == metric.change(math.nan) == metric.spread(None, 0.1) == "–"


def test_points_are_named_and_another_scale_is_told_once() -> None:
    assert (SCORE.factor, SCORE.unit_words, SCORE.scale_words) == (100.0, " points", "in points")
    assert (ERROR.factor, ERROR.unit_words, ERROR.scale_words) == (1.0, "", "as a number")
