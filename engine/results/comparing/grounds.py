"""What each variant is compared with: the unified run that it is built on, seed by seed, else the reference.

Owns who stands against whom, and how the seeds of one recipe become one comparison: each is paired with its
own ground, and a persona's difference is the mean over the seeds. Where the reference was made from several
seeds, what is built on none of them is compared with all. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from engine.core.paths import Workspace
from engine.domains.metric import Metric
from engine.results import store
from engine.results.store.statistics import Question
from engine.results.variants import Origin, Variant, below, lineage
from engine.stats.compare import Comparison, compare
from engine.stats.pairing import Pairing
from engine.strategies.reference import EXPERIMENT

Pair = tuple[str, str]  # the ids of a variant and of what it is compared with
_CONFIDENCE = 0.95
_FEW = 100


def own_grounds(
    there: Sequence[Variant], origins: Mapping[str, Origin], reference: Variant
) -> dict[str, str]:
    """Return variant id -> id of the one unified variant that it is built on, the reference among them.

    What is built on none of those scored there, or on several, is left out; so is what is a unified itself.
    Nothing where the reference is no run of unified.
    """
    made = origins.get(reference.run_id)
    if made is None or made.experiment != EXPERIMENT:
        return {}
    unified = {
        lineage(one.run_id, origins): one
        for one in there
        if one.name == reference.name and origins[one.run_id].experiment == EXPERIMENT
    }
    unified[lineage(reference.run_id, origins)] = reference
    found = {}
    for one in there:
        runs = below(one.run_id, origins) - {one.run_id}
        bases = {unified[told].variant_id for run in runs if (told := lineage(run, origins)) in unified}
        if len(bases) == 1:
            found[one.variant_id] = bases.pop()
    return found


def pairs(
    there: Sequence[Variant],
    grounds: Mapping[str, str],
    repeated: Mapping[str, str],
    reference: Variant,
) -> dict[str, tuple[Pair, ...]]:
    """Return variant id -> whom its seeds are compared with, one pair a seed, its own first.

    A repeat stands for itself alone, as the reference does.
    """
    again: dict[str, list[str]] = {}
    for one in sorted(there, key=lambda one: (one.made_at, one.variant_id)):
        if one.variant_id in repeated:
            again.setdefault(repeated[one.variant_id], []).append(one.variant_id)
    alike = (reference.variant_id, *again.get(reference.variant_id, ()))
    found: dict[str, tuple[Pair, ...]] = {}
    for one in there:
        own = one.variant_id
        seeds = (own, *(() if own in repeated else again.get(own, ())))
        if own == reference.variant_id:
            found[own] = tuple((seed, seed) for seed in alike)
        elif own in alike:
            found[own] = ((own, reference.variant_id),)
        elif all(seed in grounds for seed in seeds):
            found[own] = tuple((seed, grounds[seed]) for seed in seeds)
        elif own in grounds:
            found[own] = ((own, grounds[own]),)
        elif own in repeated:
            found[own] = ((own, reference.variant_id),)
        else:
            found[own] = _alongside(seeds, alike)
    return found


def _alongside(seeds: Sequence[str], alike: Sequence[str]) -> tuple[Pair, ...]:
    """Seed beside seed, as many as both have; one alone stands beside each of the others."""
    n = min(len(seeds), len(alike))
    if n == 1:
        return tuple((one, other) for one in seeds for other in alike)
    return tuple(zip(seeds[:n], alike[:n], strict=True))


@dataclass(frozen=True, slots=True)
class Seeds:
    """One comparison over several seeds. `means` and `deltas` hold each seed's mean and mean difference;
    `deviation` is that of the deltas."""

    n: int
    means: tuple[float, ...]
    deltas: tuple[float, ...]
    deviation: float
    standard_error: float
    share_of_variance: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return {
            "n": self.n,
            "means": list(self.means),
            "deltas": list(self.deltas),
            "deviation": self.deviation,
            "standard_error": self.standard_error,
            "share_of_variance": self.share_of_variance,
        }


def over_seeds(paired: Sequence[Pairing], *, higher_is_better: bool) -> tuple[Comparison, Seeds]:
    """Return the comparison and the seeds' record of one recipe made from several seeds.

    Means are over seeds, persona by persona; interval and p are those of personas crossed with seeds.
    """
    mean = mean_over_seeds(paired)
    table = differences(paired)
    crossed = two_way(table)
    deltas = tuple(float(value) for value in np.nanmean(table, axis=0))
    told = compare(mean, higher_is_better=higher_is_better, resamples=_FEW)  # its interval is not kept
    if table.any():
        told = replace(told, ci_low=crossed.low, ci_high=crossed.high, p=crossed.p, ci_kind="crossed")
    seeds = Seeds(
        len(paired),
        tuple(float(one.candidate.mean()) for one in paired),
        deltas,
        float(np.std(deltas, ddof=1)),
        crossed.standard_error,
        crossed.share_of_seeds,
    )
    return told, seeds


def differences(paired: Sequence[Pairing]) -> Any:
    """Return the differences as [personas, seeds], NaN where a persona is missing."""
    return _table(paired, [one.differences for one in paired])


def mean_over_seeds(paired: Sequence[Pairing]) -> Pairing:
    """Return one pairing: every persona's means over the seeds that have her."""
    if len(paired) == 1:
        return paired[0]
    names = tuple(sorted({name for one in paired for name in one.personas}))
    sides = [
        np.nanmean(_table(paired, [getattr(one, side) for one in paired]), axis=1)
        for side in ("candidate", "reference", "differences")
    ]
    return replace(
        paired[0], personas=names, candidate=sides[0], reference=sides[1], differences=sides[2], counts=None
    )


def _table(paired: Sequence[Pairing], values: Sequence[Any]) -> Any:
    names = sorted({name for one in paired for name in one.personas})
    place = {name: row for row, name in enumerate(names)}
    table = np.full((len(names), len(paired)), np.nan)
    for column, (one, own) in enumerate(zip(paired, values, strict=True)):
        table[[place[name] for name in one.personas], column] = own
    return table


@dataclass(frozen=True, slots=True)
class Asked:
    """In which metrics which variants (ids) are compared with whom."""

    metrics: tuple[Metric, ...]
    whom: Mapping[str, Sequence[Pair]]


@dataclass(frozen=True, slots=True)
class Told:
    """The answer: metric -> variant id -> its comparison, and the seeds' records in the first metric."""

    rows: dict[str, dict[str, Comparison]]
    seeds: dict[str, Seeds]


def read(ws: Workspace, place: tuple[str, str], wanted: Sequence[Asked]) -> list[Told]:
    """Return the answers, read at once. `place` is protocol and split.

    A statistic of the whole set is read of the first seed alone.
    """
    questions: list[tuple[int, Question]] = []
    for number, one in enumerate(wanted):
        alone: dict[str, set[str]] = {}
        for own, found in one.whom.items():
            alone.setdefault(found[0][1], set()).add(own)
        questions += [
            (number, Question(*place, against, one.metrics, frozenset(ids))) for against, ids in alone.items()
        ]
    told = [Told({metric.name: {} for metric in one.metrics}, {}) for one in wanted]
    answers = store.paired(ws, [question for _, question in questions]) if questions else []
    for (number, _), answer in zip(questions, answers, strict=True):
        for name, rows in answer.items():
            told[number].rows[name] |= rows
    paired = _pairings(ws, place, [(metric, pair) for one in wanted for metric, pair in _of_seeds(one)])
    for one, answer_of in zip(wanted, told, strict=True):
        _over_seeds(one, answer_of, paired)
    return told


def _of_seeds(asked: Asked) -> Iterator[tuple[Metric, Pair]]:
    """The pairs of what was made from several seeds, in metrics that are means."""
    for metric in asked.metrics:
        for found in asked.whom.values():
            if len(found) > 1 and metric.total is None:
                yield from ((metric, (one, other)) for one, other in found)


def _over_seeds(asked: Asked, told: Told, paired: Mapping[tuple[str, Pair], Pairing]) -> None:
    """Put the comparison over all its seeds in the place of the first one's."""
    for metric in asked.metrics:
        rows = told.rows[metric.name]
        for own, found in asked.whom.items():
            there = [paired[metric.name, pair] for pair in found if (metric.name, pair) in paired]
            there = [one for one in there if one.n_paired]
            if own in rows and len(there) > 1:
                row, record = over_seeds(there, higher_is_better=metric.higher_is_better is not False)
                rows[own] = replace(row, variant=own, reference=rows[own].reference)
                if metric == asked.metrics[0]:
                    told.seeds[own] = record


def _pairings(
    ws: Workspace,
    place: tuple[str, str],
    wanted: Iterable[tuple[Metric, Pair]],
    personas: Collection[str] | None = None,
) -> dict[tuple[str, Pair], Pairing]:
    """Return the pairings by metric and pair, in one reading."""
    known: dict[str, Metric] = {}
    against: dict[tuple[str, str], set[str]] = {}
    for metric, (own, other) in wanted:
        known[metric.name] = metric
        against.setdefault((metric.name, other), set()).add(own)
    if not against:
        return {}
    asked = [(Question(*place, other, (known[name],)), ids) for (name, other), ids in against.items()]
    answers = store.all_pairings(ws, asked, personas=personas)
    return {
        (name, (own, other)): one
        for (name, other), answer in zip(against, answers, strict=True)
        for own, one in answer.items()
    }


def pairings_of(
    ws: Workspace,
    place: tuple[str, str],
    metric: Metric,
    whom: Mapping[str, Sequence[Pair]],
    personas: Collection[str] | None = None,
) -> dict[str, Pairing]:
    """Return variant id -> its pairing with whom it is compared, the mean over its seeds where it has some.

    `personas` leaves out all others. A variant without a common example is left out.
    """
    chosen = {
        own: [(one, other) for one, other in (found if metric.total is None else found[:1])]
        for own, found in whom.items()
    }
    wanted = [(metric, pair) for found in chosen.values() for pair in found]
    paired = {pair: one for (_, pair), one in _pairings(ws, place, wanted, personas).items()}
    return {
        own: mean_over_seeds([paired[pair] for pair in found if pair in paired])
        for own, found in chosen.items()
        if any(pair in paired for pair in found)
    }


# --- the noise of training


@dataclass(frozen=True, slots=True)
class TrainingNoise:
    """How much another seed alone moves a mean. `largest` is the largest difference between two seeds of one
    recipe, `limit` what the difference of two single runs stays within, by chance alone, 19 times in 20;
    both over all `pairs` of repeats."""

    largest: float
    limit: float
    pairs: int


def training_noise(groups: Sequence[Sequence[float]]) -> TrainingNoise | None:
    """Return the noise that the means of each recipe's seeds show, pooled; None where none was repeated.

    The deviation within recipes has sum(n - 1) degrees of freedom, and a difference of two runs has twice
    that variance (Student's t).
    """
    repeated = [np.asarray(group, dtype=np.float64) for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in repeated)
    if not freedom:
        return None
    spread = sum(float(np.sum((group - group.mean()) ** 2)) for group in repeated) / freedom
    critical = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, freedom))
    return TrainingNoise(
        largest=max(float(np.ptp(group)) for group in repeated),
        limit=critical * float(np.sqrt(2 * spread)),
        pairs=sum(len(group) * (len(group) - 1) // 2 for group in repeated),
    )


def over_mean(seeds: Seeds, *, own_once: bool) -> TrainingNoise:
    """Return the noise of a mean over seeds: `limit` is what it stays within by chance alone.

    With `own_once` the seeds are the reference's, and the variant itself was trained once: its own noise, as
    large as that of one of them, is not averaged out.
    """
    critical = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, seeds.n - 1))
    return TrainingNoise(
        largest=float(np.ptp(seeds.deltas)),
        limit=critical * seeds.deviation * float(np.sqrt(own_once + 1 / seeds.n)),
        pairs=seeds.n * (seeds.n - 1) // 2,
    )


# --- stands in until engine/stats has it


@dataclass(frozen=True, slots=True)
class _Crossed:
    low: float
    high: float
    p: float
    standard_error: float
    share_of_seeds: float | None


def two_way(table: Any) -> _Crossed:
    """Return the crossed standard errors of differences [personas, seeds]: the three mean squares."""
    n, k = table.shape
    whole = float(np.nanmean(table))
    rows, columns = np.nanmean(table, axis=1), np.nanmean(table, axis=0)
    of_personas = float(np.var(rows, ddof=1)) if n > 1 else 0.0
    of_seeds = float(np.var(columns, ddof=1)) if k > 1 else 0.0
    left = table - rows[:, None] - columns[None, :] + whole
    within = float(np.nansum(left**2)) / max(1, (n - 1) * (k - 1))
    seeds = max(0.0, of_seeds - within / n)
    personas = max(0.0, of_personas - within / k)
    error = float(np.sqrt(max(of_personas / n + of_seeds / k - within / (n * k), of_personas / n)))
    freedom = k - 1 if of_seeds / k > of_personas / n else n - 1
    reach = float(stats.t.ppf(0.975, max(1, freedom))) * error
    p = float(2 * stats.t.sf(abs(whole) / error, max(1, freedom))) if error else 1.0
    total = seeds + personas + within
    return _Crossed(whole - reach, whole + reach, p, error, seeds / total if total else None)
