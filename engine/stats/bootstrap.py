"""The bootstrap-t of a mean difference over personas: its interval and its p values.

Owns the resampling, as counts of each persona in each resample: one matrix product then gives the means of
all resamples, and studies of the same size share their resamples. Deterministic by (n, resamples, seed).
Everything is computed for many studies at once, one a column; a comparison is a single column. Which studies
get it is not decided here (inference.py).

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 12.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MIN_BOOTSTRAP = 8  # personas; below it there are too few distinct resamples to speak of
CHUNK = 4_000_000  # numbers held at a time, 32 MB
_KEPT = 32_000_000  # counts of resamples that are kept, a byte each: drawing is most of the work


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What resampling says of each study's mean, every field of shape (m,).

    [low, high] is the interval; `p` the two-sided p of a mean of 0, below 0.05 where the 95 % interval leaves
    out 0; `p_equal` that of a mean as far from 0 as the margin or farther (NaN without a margin).
    """

    low: Vector
    high: Vector
    p: Vector
    p_equal: Vector


def bootstrap_t(
    studies: Vector,
    *,
    confidence: float,
    resamples: int,
    seed: int,
    stretch: Vector,
    margin: float | None = None,
) -> Drawn:
    """Return the bootstrap-t of `studies` of shape (n >= 2, m): a study's personas each, not all equal.

    `stretch` [m] is by how much each standard error is taken to be longer than the personas' spread says. A
    p is at least 2 / (resamples + 1), and counts resamples without any spread on either side.
    """
    found = [np.empty(studies.shape[1]) for _ in range(4)]
    width = max(1, CHUNK // resamples)
    for start in range(0, studies.shape[1], width):
        part = slice(start, start + width)
        means, squares = _resampled(studies[:, part], resamples=resamples, seed=seed)
        own = _of_part(studies[:, part], means, squares, confidence, stretch[part], margin)
        for whole, piece in zip(found, own, strict=True):
            whole[part] = piece
    return Drawn(*found)


def standard_errors(studies: Vector) -> Vector:
    """Return the standard error of each column's mean, [m], of studies [n >= 2, m]."""
    return np.asarray(studies.std(axis=0, ddof=1) / np.sqrt(len(studies)))


def _of_part(
    studies: Vector,
    means: Vector,
    squares: Vector,
    confidence: float,
    stretch: Vector,
    margin: float | None,
) -> tuple[Vector, Vector, Vector, Vector]:
    n, mean, error = len(studies), studies.mean(axis=0), standard_errors(studies) * stretch
    variances = np.maximum(squares - means**2, 0) / (n - 1)
    spread = variances > 1e-14 * (studies**2).mean(axis=0)  # rounding leaves some 1e-16 where there is none
    pivots = np.full(means.shape, np.inf)  # resamples without spread have no pivot: they sort to the end
    np.divide(means - mean, np.sqrt(variances), out=pivots, where=spread)
    most, known = len(means) + 1, spread.sum(axis=0)
    lost = len(means) - known

    def as_high(value: Vector) -> Vector:
        return np.asarray(((pivots >= value).sum(axis=0) + 1) / most)

    def as_low(value: Vector) -> Vector:
        return np.asarray(((pivots <= value).sum(axis=0) + lost + 1) / most)

    t = mean / error
    p = np.minimum(1.0, 2 * np.minimum(as_high(t), as_low(t)))
    p_equal = np.full(len(mean), np.nan)
    if margin is not None:
        p_equal = np.maximum(as_high((mean + margin) / error), as_low((mean - margin) / error))
    pivots.sort(axis=0)
    levels = np.array([[(1 - confidence) / 2], [(1 + confidence) / 2]])
    low, high = _quantiles(pivots, np.broadcast_to(levels, (2, len(mean))), known)
    return mean - high * error, mean - low * error, p, p_equal


def _resampled(studies: Vector, *, resamples: int, seed: int) -> tuple[Vector, Vector]:
    """Return the mean of d and of d * d in every resample, both of shape (resamples, m)."""
    n, m = studies.shape
    both = np.concatenate([studies, studies**2], axis=1)
    if n * resamples <= CHUNK:
        moments = _counts(n, resamples, seed) @ both / n
    elif n * resamples <= _KEPT:
        kept, size = _small_counts(n, resamples, seed), max(1, CHUNK // n)
        parts = [kept[start : start + size] for start in range(0, resamples, size)]
        moments = np.concatenate([part.astype(np.float64) @ both / n for part in parts])
    else:
        moments = np.concatenate([part @ both / n for part in _drawn_in_parts(n, resamples, seed)])
    return moments[:, :m], moments[:, m:]


def _drawn_in_parts(n: int, resamples: int, seed: int) -> Iterator[Vector]:
    generator = np.random.default_rng([seed, n])
    return (_draw(generator, n, size) for size in _chunk_sizes(n, resamples))


def _chunk_sizes(n: int, resamples: int) -> list[int]:
    size = max(1, CHUNK // n)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


@lru_cache(maxsize=4)
def _counts(n: int, resamples: int, seed: int) -> Vector:
    return _draw(np.random.default_rng([seed, n]), n, resamples)


@lru_cache(maxsize=2)  # a comparison asks for its personas, and for one more
def _small_counts(n: int, resamples: int, seed: int) -> NDArray[np.uint8]:
    """Return the same counts a byte each: of so many personas none stands 256 times in a resample."""
    return np.concatenate([part.astype(np.uint8) for part in _drawn_in_parts(n, resamples, seed)])


def _draw(generator: np.random.Generator, n: int, resamples: int) -> Vector:
    """Return how often each of n personas stands in each resample, of shape (resamples, n)."""
    chosen = generator.integers(0, n, size=(resamples, n), dtype=np.int64)
    chosen += np.arange(resamples)[:, None] * n
    return np.bincount(chosen.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def _quantiles(ordered: Vector, levels: Vector, counts: NDArray[np.int64]) -> Vector:
    """Return the quantiles at `levels`, of shape (2, m), of each column's first `counts` sorted values."""
    last = np.maximum(counts, 1) - 1
    places = levels * last
    lower = np.floor(places).astype(int)
    upper = np.minimum(lower + 1, last)
    below, above = np.take_along_axis(ordered, lower, 0), np.take_along_axis(ordered, upper, 0)
    return np.asarray(below + (places - lower) * (above - below))
