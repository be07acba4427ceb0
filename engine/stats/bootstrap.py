"""Confidence intervals of a mean difference over personas: BCa, bootstrap-t and Student's t.

Owns the resampling, as counts of each persona in each resample: one matrix product then gives the means of
all resamples, and studies of the same size share their resamples. Deterministic by (n, resamples, seed).
Everything is computed for many studies at once, one a column; a comparison is a single column.

Sources: Efron, Better bootstrap confidence intervals (1987), for BCa; Efron and Tibshirani, An Introduction
to the Bootstrap (1993), section 12.5, for bootstrap-t.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from engine.core.errors import unknown_name

IntervalKind = Literal["bca", "bootstrap-t", "t"]
Vector = NDArray[np.float64]

KINDS: Final[tuple[IntervalKind, ...]] = get_args(IntervalKind)
DEFAULT_KIND: Final[IntervalKind] = "bootstrap-t"  # see docs/statistics.md
MIN_BOOTSTRAP = 8  # personas; below it there are too few distinct resamples to speak of
_CHUNK = 4_000_000  # numbers held at a time, 32 MB
_KEPT = 32_000_000  # counts of resamples that are kept, a byte each: drawing is most of the work


def usable_kind(kind: str, n: int) -> IntervalKind:
    """Return the kind to use with n personas: Student's t below MIN_BOOTSTRAP. Raises EngineError."""
    if kind not in KINDS:
        raise unknown_name("interval", kind, KINDS)
    return "t" if n < MIN_BOOTSTRAP else kind


def interval(
    differences: Vector, kind: IntervalKind, *, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Return the two-sided interval of the mean of `differences`, of shape (n >= 2,) and not all equal."""
    low, high = intervals(differences[:, None], kind, confidence=confidence, resamples=resamples, seed=seed)
    return float(low[0]), float(high[0])


def intervals(
    studies: Vector, kind: IntervalKind, *, confidence: float, resamples: int, seed: int
) -> tuple[Vector, Vector]:
    """Return the lower and upper ends, each of shape (m,), for `studies` of shape (n >= 2, m).

    Each column holds the differences of one study's personas, not all equal.
    """
    if kind == "t":
        return _student(studies, confidence)
    low, high = np.empty(studies.shape[1]), np.empty(studies.shape[1])
    width = max(1, _CHUNK // resamples)
    for start in range(0, studies.shape[1], width):
        part = slice(start, start + width)
        means, squares = _resampled(studies[:, part], resamples=resamples, seed=seed)
        if kind == "bca":
            low[part], high[part] = _bca(studies[:, part], means, confidence)
        else:
            low[part], high[part] = _bootstrap_t(studies[:, part], means, squares, confidence)
    return low, high


def _student(studies: Vector, confidence: float) -> tuple[Vector, Vector]:
    half = float(special.stdtrit(len(studies) - 1, (1 + confidence) / 2)) * _standard_errors(studies)
    means = studies.mean(axis=0)
    return means - half, means + half


def _standard_errors(studies: Vector) -> Vector:
    return np.asarray(studies.std(axis=0, ddof=1) / np.sqrt(len(studies)))


def _resampled(studies: Vector, *, resamples: int, seed: int) -> tuple[Vector, Vector]:
    """Return the mean of d and of d * d in every resample, both of shape (resamples, m)."""
    n, m = studies.shape
    both = np.concatenate([studies, studies**2], axis=1)
    if n * resamples <= _CHUNK:
        moments = _counts(n, resamples, seed) @ both / n
    elif n * resamples <= _KEPT:
        kept, size = _small_counts(n, resamples, seed), max(1, _CHUNK // n)
        parts = [kept[start : start + size] for start in range(0, resamples, size)]
        moments = np.concatenate([part.astype(np.float64) @ both / n for part in parts])
    else:
        moments = np.concatenate([part @ both / n for part in _drawn_in_parts(n, resamples, seed)])
    return moments[:, :m], moments[:, m:]


def _drawn_in_parts(n: int, resamples: int, seed: int) -> Iterator[Vector]:
    generator = np.random.default_rng([seed, n])
    return (_draw(generator, n, size) for size in _chunk_sizes(n, resamples))


def _chunk_sizes(n: int, resamples: int) -> list[int]:
    size = max(1, _CHUNK // n)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


@lru_cache(maxsize=4)
def _counts(n: int, resamples: int, seed: int) -> Vector:
    return _draw(np.random.default_rng([seed, n]), n, resamples)


@lru_cache(maxsize=1)
def _small_counts(n: int, resamples: int, seed: int) -> NDArray[np.uint8]:
    """Return the same counts a byte each: of so many personas none stands 256 times in a resample."""
    return np.concatenate([part.astype(np.uint8) for part in _drawn_in_parts(n, resamples, seed)])


def _draw(generator: np.random.Generator, n: int, resamples: int) -> Vector:
    """Return how often each of n personas stands in each resample, of shape (resamples, n)."""
    chosen = generator.integers(0, n, size=(resamples, n), dtype=np.int64)
    chosen += np.arange(resamples)[:, None] * n
    return np.bincount(chosen.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def _bca(studies: Vector, means: Vector, confidence: float) -> tuple[Vector, Vector]:
    centre = studies.mean(axis=0)
    centred = studies - centre
    acceleration = (centred**3).sum(axis=0) / (6 * (centred**2).sum(axis=0) ** 1.5)
    close = 1e-9 * np.abs(centred).max(axis=0)
    below = np.mean(means < centre - close, axis=0)
    equal = np.mean(np.abs(means - centre) <= close, axis=0)
    edge = 0.5 / len(means)
    bias = special.ndtri(np.clip(below + equal / 2, edge, 1 - edge))
    tails = special.ndtri(np.array([[(1 - confidence) / 2], [(1 + confidence) / 2]]))
    levels = special.ndtr(bias + (bias + tails) / (1 - acceleration * (bias + tails)))
    low, high = _quantiles(np.sort(means, axis=0), levels)
    return low, high


def _bootstrap_t(studies: Vector, means: Vector, squares: Vector, confidence: float) -> tuple[Vector, Vector]:
    n, mean, error = len(studies), studies.mean(axis=0), _standard_errors(studies)
    variances = np.maximum(squares - means**2, 0) / (n - 1)
    spread = variances > 1e-18 * (studies**2).mean(axis=0)
    pivots = np.full(means.shape, np.inf)  # resamples without spread have no pivot: they sort to the end
    np.divide(means - mean, np.sqrt(variances), out=pivots, where=spread)
    pivots.sort(axis=0)
    levels = np.array([[(1 - confidence) / 2], [(1 + confidence) / 2]])
    low, high = _quantiles(pivots, np.broadcast_to(levels, (2, len(mean))), spread.sum(axis=0))
    return mean - high * error, mean - low * error


def _quantiles(ordered: Vector, levels: Vector, counts: Vector | None = None) -> Vector:
    """Return the quantiles at `levels`, of shape (2, m), of each column's first `counts` sorted values."""
    last = (len(ordered) if counts is None else counts) - 1
    places = levels * last
    lower = np.floor(places).astype(int)
    upper = np.minimum(lower + 1, last)
    below, above = np.take_along_axis(ordered, lower, 0), np.take_along_axis(ordered, upper, 0)
    return np.asarray(below + (places - lower) * (above - below))
