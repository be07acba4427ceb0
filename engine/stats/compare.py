"""Compares variants on the same examples: one record per candidate against the reference.

Owns what a comparison says and when it says nothing (with the reason). The persona is the unit throughout.
Reads no file; the tables come from the caller, all of one metric, split and protocol.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.core.errors import EngineError
from engine.stats import whole
from engine.stats.forecast import detectable
from engine.stats.heterogeneity import Effects, effects, within_variance
from engine.stats.inference import MIN_DIFFER, Certainty, Inference, IntervalKind, infer, student
from engine.stats.levels import CATASTROPHE, CONFIDENCE, FEW, NOISE
from engine.stats.paired_tests import holm, sign_test, wilcoxon
from engine.stats.pairing import Counts, Pairing, Vector
from engine.stats.seeds import Crossed
from engine.stats.shares import wilson

ONE_PERSONA = "One persona: no interval and no test, because the persona is the unit."
NO_PERSONA = "No example is scored by both variants."
FEW_DIFFER = f"Fewer than {MIN_DIFFER} personas differ, so there is no interval and no verdict."
NO_SPREAD = "All personas differ by the same amount: p is the sign test's."
CANCELS = "Every persona gains in some examples what she loses in others: nothing tells how sure that is."


@dataclass(frozen=True, slots=True)
class Comparison:
    """One variant against the reference, over the personas they share.

    `mean`, `reference_mean` and `delta` are macro means over personas; of a statistic of the whole set, the
    statistic itself. [ci_low, ci_high] is the interval of `delta` by `ci_kind` (inference.py says which).
    `p` is the paired t-test's, with the degrees of freedom of the rule (of a statistic of the whole set, that
    of swapping the two variants in personas at random), `p_alone` the larger of that and the bootstrap-t's,
    by which a single variant is judged, `p_strict` what a family of several is corrected by, `p_holm` the
    same corrected over `family_size`.
    `p_equal` is that of a difference of `equal_margin` or more either way, `p_equal_holm` the same corrected.
    `n_paired` counts personas, `n_clusters` the clusters that vary where personas share what was trained;
    `n_examples`, `n_only_*` and `n_null_*` count examples (see Pairing). A win is a persona better by more
    than the margin; [share_low, share_high] is Wilson's interval of the share improved; `catastrophic` counts
    personas worse by more than the allowed drop. With the luck of few examples taken out (heterogeneity.py):
    `between` is how far true effects differ, `p_between` tests that they do not (corrected over the family
    too), `reliability` is the share of the personas' spread that is no luck, `true_share` the share that
    truly gains with its interval. `min_detectable_effect` is what the verdict finds in four of five studies,
    its family considered. None means that there is no such number; `reason` says why.
    """

    variant: str
    reference: str
    mean: float | None
    reference_mean: float | None
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    ci_kind: IntervalKind | Literal["percentile", "crossed"] | None
    confidence: float
    p: float | None
    p_alone: float | None
    p_strict: float | None
    p_wilcoxon: float | None
    p_sign: float | None
    p_holm: float | None
    family_size: int | None
    p_equal: float | None
    p_equal_holm: float | None
    equal_margin: float | None
    n_paired: int
    n_clusters: int | None
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
    between: float | None
    p_between: float | None
    reliability: float | None
    true_share: float | None
    true_share_low: float | None
    true_share_high: float | None
    catastrophic: int
    min_detectable_effect: float | None
    small_sample: bool
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values; it never holds NaN."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class _Inference:
    """Those fields of a comparison that are said of the mean difference."""

    mean: float | None
    reference_mean: float | None
    delta: float | None
    ci_kind: IntervalKind | Literal["percentile"] | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_alone: float | None = None
    p_strict: float | None = None
    p_equal: float | None = None
    p_wilcoxon: float | None = None
    p_sign: float | None = None
    min_detectable_effect: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Sampling:
    confidence: float
    resamples: int
    seed: int


def compare(
    pairing: Pairing,
    *,
    margin: float = 0.0,
    equal_margin: float | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    resamples: int = 9_999,
    higher_is_better: bool = True,
    catastrophic_drop: float = CATASTROPHE,
    clusters: Mapping[str, int] | None = None,
) -> Comparison:
    """Return the paired statistics of `pairing`; what a family corrects is left to `corrected`.

    `margin`, `equal_margin` and `catastrophic_drop` are in the metric's unit (fractions); without an
    `equal_margin` there is no test of equality. `clusters` says whose personas share what was trained.
    `delta` is candidate minus reference also where lower is better; wins and losses then go by the direction.
    Raises EngineError on options out of range.
    """
    _check(margin=margin, confidence=confidence, resamples=resamples)
    gains = pairing.differences if higher_is_better else -pairing.differences
    labels = None if clusters is None else _labels(pairing.personas, clusters)
    sampling = _Sampling(confidence, resamples, seed)
    if pairing.counts is None:
        found = _infer(pairing, labels, sampling, equal_margin)
        single = effects_of(pairing, higher_is_better=higher_is_better, seed=seed)
    else:
        found, single = _infer_whole(pairing, pairing.counts, sampling), None
    return Comparison(
        variant="candidate",
        reference="reference",
        **asdict(found),
        confidence=confidence,
        p_holm=None,
        family_size=None,
        p_equal_holm=None,
        equal_margin=equal_margin,
        n_paired=pairing.n_paired,
        n_clusters=None if labels is None else len(np.unique(labels)),
        n_examples=pairing.n_examples,
        n_only_candidate=pairing.n_only_candidate,
        n_only_reference=pairing.n_only_reference,
        n_null_candidate=pairing.n_null_candidate,
        n_null_reference=pairing.n_null_reference,
        n_null_both=pairing.n_null_both,
        **outcomes(pairing, margin=margin, higher_is_better=higher_is_better, confidence=confidence),
        **_for_whom(single),
        catastrophic=int(np.sum(gains < -catastrophic_drop - NOISE)),
        small_sample=pairing.n_paired < FEW,
    )


def _for_whom(single: Effects | None) -> dict[str, Any]:
    """The fields of a comparison that are said of single personas."""
    names = {"between": "between", "p_between": "p", "reliability": "reliability", "true_share": "share"}
    names |= {"true_share_low": "share_low", "true_share_high": "share_high"}
    return {field: None if single is None else getattr(single, name) for field, name in names.items()}


def effects_of(pairing: Pairing, *, higher_is_better: bool = True, seed: int = 0) -> Effects | None:
    """Return what is known of single personas' gains, in the order of `pairing.personas`; None where nothing
    is: too few personas, too few examples of each, or a statistic of the whole set."""
    if pairing.examples is None or pairing.variances is None:
        return None
    gains = pairing.differences if higher_is_better else -pairing.differences
    return effects(gains, pairing.examples, pairing.variances, retrained=pairing.retrained, seed=seed)


class Outcomes(TypedDict):
    """For how many personas it is better, equal and worse, and the share improved with Wilson's interval."""

    wins: int
    ties: int
    losses: int
    share_improved: float | None
    share_low: float | None
    share_high: float | None


def outcomes(
    pairing: Pairing, *, margin: float = 0.0, higher_is_better: bool = True, confidence: float = CONFIDENCE
) -> Outcomes:
    """Return the outcomes of `pairing`: a win is better by more than `margin`, in the metric's unit.

    Raises EngineError on a margin below 0.
    """
    _check(margin=margin, confidence=confidence, resamples=9_999)
    gains = pairing.differences if higher_is_better else -pairing.differences
    wins, losses = int(np.sum(gains > margin + NOISE)), int(np.sum(gains < -margin - NOISE))
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


def also_over_seeds(row: Comparison, found: Crossed) -> Comparison:
    """Return `row`, which is of personas' means over several seeds, at least as uncertain as personas crossed
    with seeds are: neither interval nor p forgets that other seeds would have been as good."""
    if row.ci_low is None or row.ci_high is None or row.ci_kind is None:
        return row
    low, high = min(row.ci_low, found.low), max(row.ci_high, found.high)
    wider = (high - low) / (row.ci_high - row.ci_low) if row.ci_high > row.ci_low else 1.0
    smallest = row.min_detectable_effect
    return replace(
        row,
        ci_low=low,
        ci_high=high,
        ci_kind="crossed",
        p=_larger(row.p, found.p),
        p_alone=_larger(row.p_alone, found.p),
        p_strict=_larger(row.p_strict, found.p),
        p_equal=None
        if row.p_equal is None or row.equal_margin is None
        else max(row.p_equal, found.p_equal(row.equal_margin)),
        min_detectable_effect=None if smallest is None else smallest * wider,
    )


def _larger(p: float | None, other: float) -> float:
    return other if p is None else max(p, other)


def corrected(rows: Sequence[Comparison], *, outside_family: Collection[str]) -> list[Comparison]:
    """Return the rows with Holm's correction over all variants but those `outside_family`: of a difference,
    of equality, and of personas who differ.

    The smallest detectable effect becomes that of the verdict: found among so many.
    """
    family = [row for row in rows if row.variant not in outside_family]
    size = sum(row.p_strict is not None for row in family)
    different = holm([row.p_strict if size > 1 else row.p_alone for row in family])
    equal, between = (holm([getattr(row, name) for row in family]) for name in ("p_equal", "p_between"))
    adjusted = {row.variant: each for row, *each in zip(family, different, equal, between, strict=True)}
    found = []
    for row in rows:
        p_holm, p_equal, p_between = adjusted.get(row.variant, (None, None, row.p_between))
        row = replace(row, p_between=p_between)
        if p_holm is None:
            found.append(row)
            continue
        smallest = row.min_detectable_effect
        if smallest is not None:
            smallest *= detectable(row.n_paired, size) / detectable(row.n_paired)
        found.append(
            replace(
                row,
                p_holm=p_holm,
                p_equal_holm=p_equal,
                family_size=size,
                min_detectable_effect=smallest,
            )
        )
    return found


def over_metrics(rows: Sequence[Comparison], metrics: int) -> list[Comparison]:
    """Return the rows with their corrected p multiplied by the number of metrics that one answers for: what
    was not declared beforehand answers for all that could have been shown in its place."""
    return [
        replace(
            row,
            p_holm=_times(row.p_holm, metrics),
            p_equal_holm=_times(row.p_equal_holm, metrics),
            min_detectable_effect=_among(row, metrics),
        )
        for row in rows
    ]


def _among(row: Comparison, metrics: int) -> float | None:
    """The smallest effect that the verdict finds, found among so many metrics too."""
    smallest, size = row.min_detectable_effect, row.family_size
    if smallest is None or size is None:
        return smallest
    return smallest * detectable(row.n_paired, size * metrics) / detectable(row.n_paired, size)


def _times(p: float | None, number: int) -> float | None:
    return None if p is None else min(1.0, number * p)


def _labels(personas: Sequence[str], clusters: Mapping[str, int]) -> NDArray[np.int64]:
    """Each persona's cluster; who is in none stands alone."""
    last = max(clusters.values(), default=0)
    found = [clusters.get(name, last + 1 + place) for place, name in enumerate(personas)]
    return np.array(found, dtype=np.int64)


def _infer(
    pairing: Pairing, labels: NDArray[np.int64] | None, sampling: _Sampling, equal_margin: float | None
) -> _Inference:
    differences, n = pairing.differences, pairing.n_paired
    if n == 0:
        return _Inference(None, None, None, reason=NO_PERSONA)
    mean = float(differences.mean())
    means = _Inference(float(pairing.candidate.mean()), float(pairing.reference.mean()), mean)
    if n == 1:
        return replace(means, reason=ONE_PERSONA)
    if not differences.any():
        alike = replace(means, p=1.0, p_alone=1.0, p_strict=1.0, p_wilcoxon=1.0, p_sign=1.0)
        if pairing.variances is not None and pairing.variances.any():
            return replace(alike, reason=CANCELS)
        # That none of the examples differs is as likely as this where, of all, a share of the margin does.
        p_equal = None if equal_margin is None else (1 - min(1.0, equal_margin)) ** pairing.n_examples
        return replace(alike, ci_kind="t", ci_low=0.0, ci_high=0.0, p_equal=p_equal)
    p_sign = sign_test(int(np.sum(differences > 0)), int(np.sum(differences < 0)))
    tests = replace(means, p_wilcoxon=wilcoxon(differences), p_sign=p_sign)
    deviation = float(differences.std(ddof=1))
    if deviation <= NOISE * max(1.0, abs(mean)):
        if p_sign < 1 - sampling.confidence:  # else 0 fits, and no interval says so
            tests = replace(tests, ci_kind="t", ci_low=mean, ci_high=mean)
        by_sign = replace(tests, p=p_sign, p_alone=p_sign, p_strict=p_sign)
        if equal_margin is not None:
            by_sign = replace(by_sign, p_equal=0.5**n if abs(mean) < equal_margin else 1.0)
        return replace(by_sign, reason=NO_SPREAD)
    found = infer(
        differences[:, None],
        confidence=sampling.confidence,
        resamples=sampling.resamples,
        seed=sampling.seed,
        margin=equal_margin,
        certainty=_certainty(pairing),
        clusters=labels,
    )
    low, high = _number(found.low[0]), _number(found.high[0])
    return replace(
        tests,
        ci_kind=None if low is None else found.kinds[0],
        ci_low=low,
        ci_high=high,
        p=_number(found.p[0]),
        p_alone=_number(found.p_alone[0]),
        p_strict=_number(found.p_strict[0]),
        p_equal=_number(found.p_equal[0]),
        min_detectable_effect=None
        if n < MIN_DIFFER
        else detectable(n) * deviation * _wider(differences, found, sampling.confidence),
        reason=FEW_DIFFER if low is None else None,
    )


def _wider(differences: Vector, found: Inference, confidence: float) -> float:
    """By how much a rule makes the interval wider than Student's: what the verdict finds is as much larger.

    What the bootstrap-t adds is the luck of one sample; the forecast's own rule stands for it.
    """
    low, high = float(found.low[0]), float(found.high[0])
    if found.kinds[0] == "bootstrap-t" or not np.isfinite([low, high]).all():
        return 1.0
    plain = student(differences, confidence=confidence)
    return max(1.0, (high - low) / (plain[1] - plain[0]))


def _certainty(pairing: Pairing) -> Certainty | None:
    if pairing.examples is None or pairing.variances is None:
        return None
    within = within_variance(pairing.examples, pairing.variances)
    return None if within is None else Certainty(pairing.examples, within)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _infer_whole(pairing: Pairing, counts: Counts, sampling: _Sampling) -> _Inference:
    """What the personas' own statistics say stands beside: who wins is counted by persona."""
    drawn = whole.infer(
        counts, confidence=sampling.confidence, resamples=sampling.resamples, seed=sampling.seed
    )
    means = _Inference(drawn.candidate, drawn.reference, drawn.difference)
    if drawn.difference is None:
        return replace(means, reason=NO_PERSONA)
    if drawn.p is None:
        return replace(means, reason=ONE_PERSONA)
    differences, few = pairing.differences, 0 < counts.differ < MIN_DIFFER
    return replace(
        means,
        ci_kind=None if few else whole.KIND,
        ci_low=None if few else drawn.low,
        ci_high=None if few else drawn.high,
        p=drawn.p,
        p_alone=1.0 if few else drawn.p,
        p_strict=1.0 if few else drawn.p,
        reason=FEW_DIFFER if few else None,
        p_wilcoxon=wilcoxon(differences) if differences.any() else 1.0,
        p_sign=sign_test(int(np.sum(differences > 0)), int(np.sum(differences < 0))),
        min_detectable_effect=None if drawn.deviation is None else detectable(drawn.n) * drawn.deviation,
    )


def _check(*, margin: float, confidence: float, resamples: int) -> None:
    if margin < 0:
        raise EngineError(f"The margin is {margin}.", "A margin is 0 or more, in the metric's unit.")
    if not 0 < confidence < 1:
        raise EngineError(f"The confidence is {confidence}.", "Give a share between 0 and 1, such as 0.95.")
    if resamples < 100:
        raise EngineError(f"{resamples} resamples are too few.", "Give at least 100; 9,999 is usual.")
