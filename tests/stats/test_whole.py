"""Statistics of the whole set: what is taken of the sums is judged over personas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.stats.compare import compare
from engine.stats.pairing import Pairing, counted_pairing


def macro_f1(sums: dict[str, np.ndarray]) -> np.ndarray:
    """Macro-F1 over the labels a and b from hits, said and held of each."""
    with np.errstate(invalid="ignore"):
        scores = [2 * sums[f"hit {one}"] / (sums[f"said {one}"] + sums[f"held {one}"]) for one in "ab"]
    return np.nan_to_num(np.mean(scores, axis=0))


def counted(said: str, held: str) -> dict[str, float]:
    return {
        f"{kind} {label}": float(found)
        for label in "ab"
        for kind, found in (
            ("hit", said == held == label),
            ("said", said == label),
            ("held", held == label),
        )
    }


def pairing(ours: np.ndarray, theirs: np.ndarray, held: np.ndarray) -> Pairing:
    """Labels [personas, examples] of two variants and the truth, as the store adds them up."""
    rows = []
    for persona in range(len(held)):
        for of_reference, said in ((False, ours), (True, theirs)):
            counts = pd.DataFrame([counted(*both) for both in zip(said[persona], held[persona], strict=True)])
            rows += [
                {
                    "persona_id": f"p{persona:02d}", "of_reference": of_reference, "part": name,
                    "total": total, "n_examples": held.shape[1],
                }
                for name, total in counts.sum().items()
            ]  # fmt: skip
    examples = {f"p{persona:02d}": held.shape[1] for persona in range(len(held))}
    return counted_pairing(pd.DataFrame(rows), examples, macro_f1)


def labels(seed: int, *, right: float, held: np.ndarray) -> np.ndarray:
    draw = np.random.default_rng(seed)
    other = np.where(held == "a", "b", "a")
    return np.where(draw.random(held.shape) < right, held, other)


HELD = np.random.default_rng(0).choice(["a", "b"], size=(40, 10), p=[0.8, 0.2])


def sklearn_like(said: np.ndarray) -> float:
    scores = []
    for label in "ab":
        hit = float(np.sum((said == label) & (label == HELD)))
        scores.append(2 * hit / (np.sum(said == label) + np.sum(label == HELD)))
    return float(np.mean(scores))


def test_the_statistic_is_that_of_all_examples_not_a_mean_over_personas() -> None:
    ours, theirs = labels(1, right=0.9, held=HELD), labels(2, right=0.7, held=HELD)
    found = compare(pairing(ours, theirs, HELD))
    assert found.mean == pytest.approx(sklearn_like(ours))
    assert found.reference_mean == pytest.approx(sklearn_like(theirs))
    assert found.delta == pytest.approx(sklearn_like(ours) - sklearn_like(theirs))
    assert found.ci_kind == "percentile"
    assert found.ci_low is not None
    assert found.ci_low < found.delta < (found.ci_high or 0)
    assert found.p is not None
    assert found.p < 0.01
    assert found.n_paired == 40
    assert found.n_examples == 400


def test_without_a_difference_chance_finds_one_as_often_as_it_says() -> None:
    p_values = []
    for seed in range(60):
        ours = labels(100 + seed, right=0.8, held=HELD)
        theirs = labels(300 + seed, right=0.8, held=HELD)
        found = compare(pairing(ours, theirs, HELD), resamples=500)
        p_values.append(found.p or 0.0)
    assert np.mean(np.array(p_values) < 0.05) <= 0.15
    assert np.mean(np.array(p_values) < 0.5) >= 0.3


def test_a_variant_against_itself_differs_by_nothing() -> None:
    ours = labels(1, right=0.9, held=HELD)
    found = compare(pairing(ours, ours, HELD), resamples=200)
    assert (found.delta, found.ci_low, found.ci_high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert (found.wins, found.ties, found.losses) == (0, 40, 0)


def test_there_is_no_interval_where_hardly_anybody_differs() -> None:
    theirs = labels(1, right=0.6, held=HELD)
    for differ, is_told in ((4, False), (5, True)):
        ours = theirs.copy()
        ours[:differ] = HELD[:differ]
        found = compare(pairing(ours, theirs, HELD), resamples=999)
        assert (found.ci_kind, found.ci_low is not None) == ("percentile" if is_told else None, is_told)
        assert (found.p_strict == 1.0, found.reason is None) == (not is_told, is_told)


def test_nothing_shared_says_nothing() -> None:
    empty = pd.DataFrame(columns=["persona_id", "of_reference", "part", "total", "n_examples"])
    found = compare(counted_pairing(empty, {"p1": 4}, macro_f1))
    assert (found.mean, found.delta, found.p, found.n_only_reference) == (None, None, None, 4)
    assert found.reason
