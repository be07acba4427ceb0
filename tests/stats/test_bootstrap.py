"""Resamples that are kept are those that would be drawn anew, whatever form they are kept in."""

from __future__ import annotations

import numpy as np
import pytest

from engine.stats import bootstrap

RESAMPLES = 9_999


@pytest.mark.parametrize("n", [400, 401, 900])  # kept whole, kept a byte each, and drawn in three parts
def test_the_interval_does_not_depend_on_what_is_kept(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(n).normal(0.1, 1.0, n)

    def interval() -> tuple[float, float]:
        drawn = bootstrap.bootstrap_t(
            differences[:, None], confidence=0.95, resamples=RESAMPLES, seed=0, stretch=np.ones(1)
        )
        return float(drawn.low[0]), float(drawn.high[0])

    first, again = interval(), interval()
    monkeypatch.setattr(bootstrap, "_KEPT", 0)
    monkeypatch.setattr(bootstrap, "CHUNK", n * 1_000)
    anew = interval()
    assert first == again
    assert first == pytest.approx(anew, abs=1e-12)
    assert anew[0] < differences.mean() < anew[1]
