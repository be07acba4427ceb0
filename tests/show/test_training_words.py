"""What seeds have shown, told from what chance alone may make of them."""

from __future__ import annotations

from engine.domains.metrics import METRICS
from engine.show.training_words import noise_words


def test_what_was_seen_of_noise_is_told_from_what_it_may_be() -> None:
    metric = METRICS["embedding_similarity"]
    told = noise_words({"floor": 0.0102, "limit": 0.135, "pairs": 1}, metric)
    assert "have differed by up to 1.0 points" in told
    assert "Going by 1 pair of repeats, two of them may differ by 13.5 points by chance alone" in told
    assert noise_words({"floor": None, "limit": None, "pairs": 0}, metric) == ""
