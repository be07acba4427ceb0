"""Confidence intervals of a mean difference over personas: BCa, bootstrap-t and Student's t.

Owns the resampling, as counts of each persona in each resample: one matrix product then gives the means of
all resamples, and studies of the same size share their resamples. Deterministic by (n, resamples, seed).

Sources: Efron, Better bootstrap confidence intervals (1987), for BCa; Efron and Tibshirani, An Introduction
to the Bootstrap (1993), section 12.5, for bootstrap-t.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from engine.errors import unknown_name

IntervalKind = Literal["bca", "bootstrap-t", "t"]
Vector = NDArray[np.float64]

MIN_BOOTSTRAP = 8  # personas; below it there are too few distinct resamples to speak of
_CHUNK = 4_000_000  # counts held at a time, 32 MB


def usable_kind(kind: str, n: int) -> IntervalKind:
    """Return the kind to use with n personas: Student's t below MIN_BOOTSTRAP. Raises EngineError."""
    if kind not in get_args(IntervalKind):
        raise unknown_name("interval", kind, get_args(IntervalKind))
    return "t" if n < MIN_BOOTSTRAP else cast(IntervalKind, kind)


def interval(
    differences: Vector, kind: IntervalKind, *, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Return the two-sided interval of the mean of `differences`, of shape (n >= 2,) and not all equal."""
    if kind == "t":
        return _student(differences, confidence)
    means, squares = _resampled(differences, resamples=resamples, seed=seed)
    if kind == "bca":
        return _bca(differences, means, confidence)
    return _bootstrap_t(differences, means, squares, confidence)


def _student(differences: Vector, confidence: float) -> tuple[float, float]:
    n = len(differences)
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * _standard_error(differences)
    mean = float(differences.mean())
    return mean - half, mean + half


def _standard_error(differences: Vector) -> float:
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))


def _resampled(differences: Vector, *, resamples: int, seed: int) -> tuple[Vector, Vector]:
    """Return the mean of d and of d * d in every resample, both of shape (resamples,)."""
    n = len(differences)
    both = np.stack([differences, differences**2], axis=1)
    if n * resamples <= _CHUNK:
        moments = _counts(n, resamples, seed) @ both / n
    else:
        generator = np.random.default_rng([seed, n])
        sizes = _chunk_sizes(n, resamples)
        moments = np.concatenate([_draw(generator, n, size) @ both / n for size in sizes])
    return moments[:, 0], moments[:, 1]


def _chunk_sizes(n: int, resamples: int) -> list[int]:
    size = max(1, _CHUNK // n)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


@lru_cache(maxsize=4)
def _counts(n: int, resamples: int, seed: int) -> Vector:
    return _draw(np.random.default_rng([seed, n]), n, resamples)


def _draw(generator: np.random.Generator, n: int, resamples: int) -> Vector:
    """Return how often each of n personas stands in each resample, of shape (resamples, n)."""
    chosen = generator.integers(0, n, size=(resamples, n), dtype=np.int64)
    chosen += np.arange(resamples)[:, None] * n
    return np.bincount(chosen.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def _bca(differences: Vector, means: Vector, confidence: float) -> tuple[float, float]:
    centred = differences - differences.mean()
    acceleration = float((centred**3).sum() / (6 * (centred**2).sum() ** 1.5))
    close = 1e-9 * float(np.abs(centred).max())
    below = float(np.mean(means < differences.mean() - close))
    equal = float(np.mean(np.abs(means - differences.mean()) <= close))
    edge = 0.5 / len(means)
    bias = float(special.ndtri(min(max(below + equal / 2, edge), 1 - edge)))
    tails = special.ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    levels = special.ndtr(bias + (bias + tails) / (1 - acceleration * (bias + tails)))
    low, high = np.quantile(means, levels)
    return float(low), float(high)


def _bootstrap_t(
    differences: Vector, means: Vector, squares: Vector, confidence: float
) -> tuple[float, float]:
    n = len(differences)
    mean, error = float(differences.mean()), _standard_error(differences)
    variances = np.maximum(squares - means**2, 0) / (n - 1)
    spread = variances > 1e-18 * float((differences**2).mean())
    pivots = (means[spread] - mean) / np.sqrt(variances[spread])
    low, high = np.quantile(pivots, [(1 - confidence) / 2, (1 + confidence) / 2])
    return mean - float(high) * error, mean - float(low) * error
