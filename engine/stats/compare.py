"""Compares variants on the same examples: one record per candidate against the reference.

Owns what a comparison says and when it says nothing (with the reason). The persona is the unit throughout.
Reads no file; the tables come from the caller, all of one metric, split and protocol.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypedDict

import numpy as np

from engine.core.errors import EngineError
from engine.stats import whole
from engine.stats.bootstrap import DEFAULT_KIND, IntervalKind, interval, usable_kind
from engine.stats.paired_tests import detectable_in_deviations, holm, paired_t, sign_test, wilcoxon
from engine.stats.pairing import Pairing, Vector, pair
from engine.stats.shares import wilson

__all__ = [
    "Comparison",
    "Outcomes",
    "Pairing",
    "compare",
    "corrected",
    "holm",
    "outcomes",
    "pair",
]

SMALL_SAMPLE = 50  # personas
ALPHA, POWER = 0.05, 0.8  # of the minimum detectable effect
_NOISE = 1e-12

ONE_PERSONA = "One persona: no interval and no test, because the persona is the unit."
NO_PERSONA = "No example is scored by both variants."
NO_SPREAD = "All personas differ by the same amount: p is the sign test's, the interval has no width."


@dataclass(frozen=True, slots=True)
class Comparison:
    """One variant against the reference, over the personas they share.

    `mean`, `reference_mean` and `delta` are macro means over personas; of a statistic of the whole set, the
    statistic itself. [ci_low, ci_high] is the interval of `delta` by `ci_kind`. `p` is the paired t-test's
    (of a statistic of the whole set, that of swapping the two variants in personas at random), `p_holm` the
    same corrected over the family. `n_paired` counts personas; `n_examples`, `n_only_*` and `n_null_*` count
    examples (see Pairing). A win is a persona better by more than the margin; [share_low, share_high] is
    Wilson's interval of the share improved; `catastrophic` counts personas worse by more than the allowed
    drop. None means that there is no such number; `reason` says why.
    """

    variant: str
    reference: str
    mean: float | None
    reference_mean: float | None
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    ci_kind: IntervalKind | Literal["percentile", "crossed"]
    confidence: float
    p: float | None
    p_wilcoxon: float | None
    p_sign: float | None
    p_holm: float | None
    n_paired: int
    n_examples: int
    n_only_candidate: int
    n_only_reference: int
    n_null_candidate: int
    n_null_reference: int
    n_null_both: int
    wins: int
    ties: int
    losses: int
    share_improved: float | None
    share_low: float | None
    share_high: float | None
    catastrophic: int
    min_detectable_effect: float | None
    small_sample: bool
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values; it never holds NaN."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Inference:
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_wilcoxon: float | None = None
    p_sign: float | None = None
    min_detectable_effect: float | None = None
    reason: str | None = None


def compare(
    pairing: Pairing,
    *,
    margin: float = 0.0,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 9_999,
    interval_kind: IntervalKind = DEFAULT_KIND,
    higher_is_better: bool = True,
    catastrophic_drop: float = 0.10,
) -> Comparison:
    """Return the paired statistics of `pairing`; `p_holm` is left to `corrected`.

    `margin` and `catastrophic_drop` are in the metric's unit (fractions). Below 8 personas the interval is
    Student's t whatever was asked for, and `ci_kind` says so. `delta` is candidate minus reference also where
    lower is better; wins and losses then go by the direction. Raises EngineError on options out of range.
    """
    _check(margin=margin, confidence=confidence, resamples=resamples)
    differences = pairing.differences
    kind = usable_kind(interval_kind, pairing.n_paired)
    ci_kind: IntervalKind | Literal["percentile"] = kind
    gains = differences if higher_is_better else -differences
    means = _mean(pairing.candidate), _mean(pairing.reference), _mean(differences)
    if pairing.counts is None:
        found = _infer(differences, kind, confidence=confidence, resamples=resamples, seed=seed)
    else:
        drawn = whole.infer(pairing.counts, confidence=confidence, resamples=resamples, seed=seed)
        ci_kind, means = whole.KIND, (drawn.candidate, drawn.reference, drawn.difference)
        found = _infer_whole(drawn, differences)
    return Comparison(
        variant="candidate",
        reference="reference",
        mean=means[0],
        reference_mean=means[1],
        delta=means[2],
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        ci_kind=ci_kind,
        confidence=confidence,
        p=found.p,
        p_wilcoxon=found.p_wilcoxon,
        p_sign=found.p_sign,
        p_holm=None,
        n_paired=pairing.n_paired,
        n_examples=pairing.n_examples,
        n_only_candidate=pairing.n_only_candidate,
        n_only_reference=pairing.n_only_reference,
        n_null_candidate=pairing.n_null_candidate,
        n_null_reference=pairing.n_null_reference,
        n_null_both=pairing.n_null_both,
        **outcomes(pairing, margin=margin, higher_is_better=higher_is_better, confidence=confidence),
        catastrophic=int(np.sum(gains < -catastrophic_drop - _NOISE)),
        min_detectable_effect=found.min_detectable_effect,
        small_sample=pairing.n_paired < SMALL_SAMPLE,
        reason=found.reason,
    )


class Outcomes(TypedDict):
    """For how many personas it is better, equal and worse, and the share improved with Wilson's interval."""

    wins: int
    ties: int
    losses: int
    share_improved: float | None
    share_low: float | None
    share_high: float | None


def outcomes(
    pairing: Pairing, *, margin: float = 0.0, higher_is_better: bool = True, confidence: float = 0.95
) -> Outcomes:
    """Return the outcomes of `pairing`: a win is better by more than `margin`, in the metric's unit.

    Raises EngineError on a margin below 0.
    """
    _check(margin=margin, confidence=confidence, resamples=9_999)
    gains = pairing.differences if higher_is_better else -pairing.differences
    wins, losses = int(np.sum(gains > margin + _NOISE)), int(np.sum(gains < -margin - _NOISE))
    n = pairing.n_paired
    low, high = wilson(wins, n, confidence=confidence) if n else (None, None)
    return Outcomes(
        wins=wins,
        ties=n - wins - losses,
        losses=losses,
        share_improved=wins / n if n else None,
        share_low=low,
        share_high=high,
    )


def corrected(rows: Sequence[Comparison], *, outside_family: Collection[str]) -> list[Comparison]:
    """Return the rows with Holm's correction over all variants but those `outside_family`."""
    family = [row.variant for row in rows if row.variant not in outside_family]
    p_values = {row.variant: row.p for row in rows}
    adjusted = dict(zip(family, holm([p_values[variant] for variant in family]), strict=True))
    return [replace(row, p_holm=adjusted.get(row.variant)) for row in rows]


def _mean(values: Vector) -> float | None:
    return float(values.mean()) if len(values) else None


def _infer(
    differences: Vector, kind: IntervalKind, *, confidence: float, resamples: int, seed: int
) -> _Inference:
    n = len(differences)
    if n == 0:
        return _Inference(reason=NO_PERSONA)
    if n == 1:
        return _Inference(reason=ONE_PERSONA)
    if not differences.any():
        return _Inference(ci_low=0.0, ci_high=0.0, p=1.0, p_wilcoxon=1.0, p_sign=1.0)
    p_sign = sign_test(int(np.sum(differences > 0)), int(np.sum(differences < 0)))
    p_wilcoxon = wilcoxon(differences)
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if deviation <= _NOISE * max(1.0, abs(mean)):
        return _Inference(mean, mean, p_sign, p_wilcoxon, p_sign, 0.0, NO_SPREAD)
    low, high = interval(differences, kind, confidence=confidence, resamples=resamples, seed=seed)
    smallest = detectable_in_deviations(n, ALPHA, POWER) * deviation
    return _Inference(low, high, paired_t(differences), p_wilcoxon, p_sign, smallest)


def _infer_whole(drawn: whole.Drawn, differences: Vector) -> _Inference:
    """What the personas' own statistics say stands beside: who wins is counted by persona."""
    if drawn.difference is None:
        return _Inference(reason=NO_PERSONA)
    if drawn.p is None:
        return _Inference(reason=ONE_PERSONA)
    return _Inference(
        drawn.low,
        drawn.high,
        drawn.p,
        wilcoxon(differences) if differences.any() else 1.0,
        sign_test(int(np.sum(differences > 0)), int(np.sum(differences < 0))),
        None
        if drawn.deviation is None
        else detectable_in_deviations(drawn.n, ALPHA, POWER) * drawn.deviation,
    )


def _check(*, margin: float, confidence: float, resamples: int) -> None:
    if margin < 0:
        raise EngineError(f"The margin is {margin}.", "A margin is 0 or more, in the metric's unit.")
    if not 0 < confidence < 1:
        raise EngineError(f"The confidence is {confidence}.", "Give a share between 0 and 1, such as 0.95.")
    if resamples < 100:
        raise EngineError(f"{resamples} resamples are too few.", "Give at least 100; 9,999 is usual.")
