"""Rows of a comparison in words: what so few personas can find."""

from __future__ import annotations

from engine.domains.metrics import METRICS
from engine.show.row_words import power_words
from engine.stats.compare import compare
from tests.stats.test_compare import pairing_of

SIMILARITY = METRICS["embedding_similarity"]


def told(smallest: float | None, personas: int) -> str:
    row = {"role": "", "min_detectable_effect": smallest, "n_paired": personas, "family_size": 5}
    return power_words([row, {**row, "role": "reference"}], SIMILARITY)


def test_no_difference_is_foretold_that_no_score_can_have() -> None:
    assert told(0.021, 20).startswith("20 personas find a true difference of 2.1 points among 5 variants in")
    rows = [{"role": "", "min_detectable_effect": 0.02, "n_paired": n, "family_size": 2} for n in (8, 19)]
    assert power_words(rows, SIMILARITY).startswith("8 to 19 personas find a true difference of 2.0 points")
    assert told(2.5, 5) == "5 personas are too few to find any true difference among 5 variants."
    assert told(None, 4) == ""
    assert compare(pairing_of([0.1, 0.12, 0.09, 0.2])).min_detectable_effect is None  # four get no verdict
