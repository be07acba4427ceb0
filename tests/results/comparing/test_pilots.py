"""What a pilot foretells: of gains, whichever way a metric is better."""

from __future__ import annotations

import numpy as np
import pytest

from engine.domains.metrics import METRICS
from engine.results.comparing.pilots import gains
from engine.stats.forecast import forecast
from engine.stats.pairing import pair


def test_less_error_is_a_gain_and_its_size_a_share_of_what_it_is_compared_with() -> None:
    less = np.linspace(0.2, 0.4, 12)
    ours = [(f"e{who}", f"p{who:02d}", 1.0 - float(one)) for who, one in enumerate(less)]
    theirs = [(f"e{who}", f"p{who:02d}", 1.0) for who in range(len(less))]
    found = gains(pair(ours, theirs), METRICS["rating_mae"])
    assert found == pytest.approx(less)
    told = forecast(found, n_full=200, criterion=0.01)
    assert told.mean == pytest.approx(0.3)
    assert not any("unlikely" in line for line in told.words)
    half = [(example, who, value / 2) for example, who, value in ours]
    assert gains(pair(half, [(e, w, 0.5) for e, w, _ in theirs]), METRICS["rating_mae"]) == pytest.approx(
        less
    )
    same = gains(pair(ours, theirs), METRICS["embedding_similarity"])
    assert same == pytest.approx(-less)
