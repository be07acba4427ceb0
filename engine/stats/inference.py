"""What may be said of the mean of personas' differences: its interval, its tests, and by which rule.

Owns the choice among the intervals, made by the differences' shape and named:

- none where fewer than MIN_DIFFER personas differ at all: there is nothing to estimate a spread from;
- "t" (Student's) where half of the personas or more share one value, with as many degrees of freedom as
  others there are, and below MIN_BOOTSTRAP personas;
- "clusters" where personas share what was trained: the cluster is then what varies;
- "hierarchical" where one persona brings at least twice as many examples as another: the interval that
  would be shown otherwise, with the degrees of freedom that means of unequal certainty have;
- "bootstrap-t" everywhere else.

The p that a family is corrected by is the strictest of those there are, because far out in a tail, where a
correction looks, a t-test of lopsided differences errs several times too often; docs/statistics.md counts
how often each is right. Computed for many studies at once, one a column.

Sources: Satterthwaite, An approximate distribution of estimates of variance components (1946); Schuirmann, A
comparison of the two one-sided tests procedure and the power approach (1987), for equality; Bell and
McCaffrey, Bias reduction in standard errors for linear regression with multi-stage samples (2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from engine.stats.bootstrap import MIN_BOOTSTRAP, Vector, bootstrap_t, standard_errors
from engine.stats.levels import FEW
from engine.stats.paired_tests import paired_t_of

IntervalKind = Literal["t", "bootstrap-t", "hierarchical", "clusters"]

MIN_DIFFER: Final = 5  # personas
UNEQUAL: Final = 2.0  # times as many examples
_FARTHEST = 1.7  # times as far out as anybody is that further persona, at most
_FADES, _FADES_TIED = 20.0, 85.0  # divided by the number of personas: the same, where there are more
_OUTER = 1.0  # the same, in tests of equality
_DIGITS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """What is said of each study's mean, every field of shape (m,); NaN where there is no such number.

    `kinds` names the interval [low, high]. `p` is Student's two-sided p of a mean of 0, `p_alone` the larger
    of that and the bootstrap-t's, `p_strict` the one to correct over a family of several, `p_equal` that of a
    mean as far from 0 as the margin or farther.
    """

    kinds: tuple[IntervalKind, ...]
    low: Vector
    high: Vector
    p: Vector
    p_alone: Vector
    p_strict: Vector
    p_equal: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Certainty:
    """How sure persona means are: `examples` [n] behind each, `within` the variance of a single one."""

    examples: Vector
    within: float

    @property
    def is_unequal(self) -> bool:
        """Whether one persona has at least UNEQUAL times as many examples as another."""
        return bool(self.examples.max() >= UNEQUAL * self.examples.min())


def infer(
    studies: Vector,
    *,
    confidence: float,
    resamples: int,
    seed: int,
    margin: float | None = None,
    certainty: Certainty | None = None,
    clusters: NDArray[np.int64] | None = None,
) -> Inference:
    """Return what is said of the means of `studies` [n >= 2, m], each column the differences of one study.

    No column may be all equal. `margin` is how far from 0 still counts as equal. `certainty` and `clusters`
    [n] (a label a persona) hold for all columns.
    """
    n, m = studies.shape
    if clusters is not None:
        return _by_cluster(studies, clusters, confidence=confidence, margin=margin)
    unequal = certainty is not None and certainty.is_unequal
    freedom = np.full(m, n - 1.0)
    if certainty is not None and unequal:
        freedom = degrees_of_freedom(studies, certainty)
    is_tied, apart = tied(studies)
    freedom = np.where(is_tied, np.minimum(freedom, np.maximum(1, apart - 1)), freedom)
    stretch = _reach(freedom, confidence) / _reach(np.full(m, n - 1.0), confidence)
    mean, error = studies.mean(axis=0), standard_errors(studies)
    low, high, p, p_equal = _student(mean, error, freedom, confidence, margin)
    alone = p.copy()
    strict = alone
    if n >= MIN_BOOTSTRAP:
        options = {"confidence": confidence, "resamples": resamples, "seed": seed, "stretch": stretch}
        drawn = bootstrap_t(studies, **options, margin=margin)  # type: ignore[arg-type]
        low, high = np.where(is_tied, low, drawn.low), np.where(is_tied, high, drawn.high)
        alone, p_equal = np.maximum(p, drawn.p), np.maximum(p_equal, drawn.p_equal)
        strict = alone.copy()
        asked = is_tied | (n < FEW)  # the strictest p asks for one persona more
        if asked.any():
            farther = np.minimum(_FARTHEST, np.where(is_tied[asked], _FADES_TIED, _FADES) / n)
            more, own = _with_one_more(studies[:, asked], -farther), {**options, "stretch": stretch[asked]}
            against = np.maximum(paired_t_of(more), bootstrap_t(more, **own).p)
            strict[asked] = np.maximum(strict[asked], against)
        if margin is not None:
            outer = _with_one_more(studies, np.full(m, _OUTER))
            p_equal = np.maximum(p_equal, bootstrap_t(outer, **options, margin=margin).p_equal)  # type: ignore[arg-type]
    few = (studies != 0).sum(axis=0) < MIN_DIFFER
    alone[few] = strict[few] = 1.0
    for gone in (low, high, p_equal):
        gone[few] = np.nan
    plain: list[IntervalKind] = ["t" if one or n < MIN_BOOTSTRAP else "bootstrap-t" for one in is_tied]
    kinds: tuple[IntervalKind, ...] = ("hierarchical",) * m if unequal else tuple(plain)
    return Inference(kinds, low, high, p, alone, strict, p_equal)


def student(values: Vector, *, confidence: float) -> tuple[float, float]:
    """Return Student's interval of the mean of `values` [n >= 2], not all equal."""
    mean, error = float(values.mean()), float(standard_errors(values[:, None])[0])
    half = float(_reach(np.array([len(values) - 1.0]), confidence)[0]) * error
    return mean - half, mean + half


def degrees_of_freedom(studies: Vector, certainty: Certainty) -> Vector:
    """Return Satterthwaite's degrees of freedom [m] of the personas' spread, of means of unequal certainty.

    A persona's variance is what truly lies between personas (what the spread leaves over, at least 0) plus
    `within` divided by her examples. Equal examples give n - 1.
    """
    n = len(studies)
    own = certainty.within / certainty.examples
    between = np.maximum(0.0, studies.var(axis=0, ddof=1) - own.mean())
    variances = between + own[:, None]
    total, squares = variances.sum(axis=0), (variances**2).sum(axis=0)
    return np.asarray(((1 - 1 / n) * total) ** 2 / ((1 - 2 / n) * squares + (total / n) ** 2))


def _student(
    mean: Vector, error: Vector, freedom: Vector, confidence: float, margin: float | None
) -> tuple[Vector, Vector, Vector, Vector]:
    half = _reach(freedom, confidence) * error
    p = 2 * special.stdtr(freedom, -np.abs(mean / error))
    equal = np.full(len(mean), np.nan)
    if margin is not None:
        equal = np.asarray(special.stdtr(freedom, (np.abs(mean) - margin) / error))
    return mean - half, mean + half, np.asarray(p), equal


def _reach(freedom: Vector, confidence: float) -> Vector:
    return np.asarray(special.stdtrit(freedom, (1 + confidence) / 2))


def tied(studies: Vector) -> tuple[NDArray[np.bool_], Vector]:
    """Return whether half of the personas or more share one value, for each column of `studies` [n, m], and
    how many do not share it."""
    ordered = np.sort(np.round(studies, _DIGITS), axis=0)
    half = (len(ordered) + 1) // 2 - 1
    shared = (ordered[half:] == ordered[: len(ordered) - half]).any(axis=0)
    middles = ordered[half], ordered[len(ordered) - 1 - half]  # a value that half share is one of these
    apart = np.minimum(*((ordered != middle).sum(axis=0) for middle in middles))
    return np.asarray(shared), np.asarray(apart, dtype=np.float64)


def _with_one_more(studies: Vector, farther: Vector) -> Vector:
    """The studies with one persona more, `farther` times as far from the mean as anybody is, away from 0
    (towards and beyond it where negative).

    Of few personas, or few that differ, none may stand for the long tail of lopsided differences; this one
    does, on the side that speaks against what is found.
    """
    mean = studies.mean(axis=0)
    farthest = np.abs(studies - mean).max(axis=0)
    return np.concatenate([studies, (mean + np.sign(mean) * farther * farthest)[None]])


def _by_cluster(
    studies: Vector, clusters: NDArray[np.int64], *, confidence: float, margin: float | None
) -> Inference:
    """The mean over personas, whose clusters vary: at least as uncertain as if each persona varied alone."""
    n, m = studies.shape
    labels, places = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(places).astype(np.float64)
    if len(labels) < 2:
        nothing = np.full(m, np.nan)
        return Inference(("clusters",) * m, nothing, nothing, nothing, np.ones(m), np.ones(m), nothing)
    mean = studies.mean(axis=0)
    sums = np.stack([(studies[places == place] - mean).sum(axis=0) for place in range(len(labels))])
    # Bell and McCaffrey: each cluster's sum is lengthened by what the common mean takes away from it.
    lengthened = sums / np.sqrt(1 - sizes / n)[:, None]
    error = np.maximum(np.sqrt((lengthened**2).sum(axis=0)) / n, standard_errors(studies))
    freedom = np.full(m, _cluster_freedom(sizes))
    low, high, p, p_equal = _student(mean, error, freedom, confidence, margin)
    few = (studies != 0).sum(axis=0) < MIN_DIFFER
    for gone in (low, high, p_equal):
        gone[few] = np.nan
    strict = np.where(few, 1.0, p)
    return Inference(("clusters",) * m, low, high, p, strict, strict, p_equal)


def _cluster_freedom(sizes: Vector) -> float:
    """Satterthwaite's degrees of freedom of the clusters' spread, as if clusters alone varied."""
    shares = sizes / sizes.sum()
    apart = np.eye(len(sizes)) - shares
    form = apart.T @ np.diag(shares**2 / (1 - shares)) @ apart
    return float(np.trace(form) ** 2 / np.trace(form @ form))
