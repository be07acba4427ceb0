"""What each variant is compared with: the unified run that it is built on, seed by seed, else the reference.

Owns who stands against whom, and how the seeds of one recipe become one comparison: each is paired with its
own ground, and a persona's difference is the mean over the seeds. Where the reference was made from several
seeds, what is built on none of them is compared with all. Judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from engine.core.paths import Workspace
from engine.domains.metric import Metric
from engine.results import store
from engine.results.store.statistics import Joint, Question, Singles, equal_margin
from engine.results.variants import Origin, Variant, below, lineage
from engine.runs.runfolder import fingerprint
from engine.stats.compare import Comparison, also_over_seeds, compare
from engine.stats.heterogeneity import within_variance
from engine.stats.pairing import Pairing
from engine.stats.seeds import crossed, retrained
from engine.strategies.reference import EXPERIMENT

Pair = tuple[str, str]  # the ids of a variant and of what it is compared with


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


def singly(controls: Mapping[str, str], there: Collection[str]) -> dict[str, tuple[Pair, ...]]:
    """Return whom each variant is compared with where each has one control (variant id -> its id)."""
    return {one: ((one, other),) for one, other in controls.items() if one in there and other in there}


def with_seeds(
    controls: Mapping[str, str], repeated: Mapping[str, str], there: Collection[str]
) -> dict[str, tuple[Pair, ...]]:
    """Return the same over all seeds that have a control: a variant's own first, then its repeats'."""
    found = singly(controls, there)
    again: dict[str, list[Pair]] = {}
    for own, pair in found.items():
        if own in repeated:
            again.setdefault(repeated[own], []).extend(pair)
    return {own: (*pair, *sorted(again.get(own, ()))) for own, pair in found.items()}


def _alongside(seeds: Sequence[str], alike: Sequence[str]) -> tuple[Pair, ...]:
    """Seed beside seed, as many as both have; one alone stands beside each of the others."""
    n = min(len(seeds), len(alike))
    if n == 1:
        return tuple((one, other) for one in seeds for other in alike)
    return tuple(zip(seeds[:n], alike[:n], strict=True))


@dataclass(frozen=True, slots=True)
class Seeds:
    """One comparison over several seeds. `means` and `deltas` hold each seed's mean and mean difference, the
    latter over the personas that all seeds have; `deviation` is that of the deltas."""

    n: int
    means: tuple[float, ...]
    deltas: tuple[float, ...]
    deviation: float
    standard_error: float | None
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


def over_seeds(
    paired: Sequence[Pairing],
    *,
    higher_is_better: bool,
    equal_margin: float | None,
    groups: Mapping[str, int] | None = None,
    singles: Singles | None = None,
) -> tuple[Comparison, Seeds]:
    """Return the comparison and the seeds' record of one recipe made from several seeds.

    Means are over seeds, persona by persona; interval and p are no surer than those of personas crossed with
    seeds. `groups` says which personas share what was trained, `singles` what examples say singly.
    """
    mean = mean_over_seeds(paired, singles)
    table = differences(paired)
    whole = table[~np.isnan(table).any(axis=1)]  # seeds differ by training, not by whom they have
    deltas = tuple(float(value) for value in np.nanmean(whole if len(whole) else table, axis=0))
    told = compare(mean, higher_is_better=higher_is_better, equal_margin=equal_margin, clusters=groups)
    found = crossed(table)
    if found is not None:
        told = also_over_seeds(told, found)
    seeds = Seeds(
        len(paired),
        tuple(float(one.candidate.mean()) for one in paired),
        deltas,
        float(np.std(deltas, ddof=1)),
        None if found is None else found.error,
        None if found is None else found.seed_share,
    )
    return told, seeds


def differences(paired: Sequence[Pairing]) -> Any:
    """Return the differences as [personas, seeds], NaN where a persona is missing."""
    return _table(paired, [one.differences for one in paired])


def mean_over_seeds(paired: Sequence[Pairing], singles: Singles | None = None) -> Pairing:
    """Return one pairing: every persona's means over the seeds that have her.

    `singles` says what examples say singly, each the mean over its seeds: less than of one seed alone, since
    the luck of training is averaged out there too; with it comes what other seeds would change. Without it
    neither is known.
    """
    if len(paired) == 1:
        return paired[0]
    names = tuple(sorted({name for one in paired for name in one.personas}))
    sides = {
        side: np.nanmean(_table(paired, [getattr(one, side) for one in paired]), axis=1)
        for side in ("candidate", "reference", "differences")
    }
    examples, variances = (
        None if singles is None else np.array([singles[name][part] for name in names], dtype=np.float64)
        for part in (0, 1)
    )
    mean = replace(paired[0], personas=names, counts=None, examples=examples, variances=variances, **sides)
    return replace(mean, retrained=retrained(differences(paired), luck=_of_examples(paired, mean)))


def _of_examples(paired: Sequence[Pairing], mean: Pairing) -> float:
    """What a seed does to single examples, as the variance of a persona's mean under one seed: an example
    varies by so much more there than in the mean over the seeds."""
    each, over = [_within(one) for one in paired], _within(mean)
    known = [one for one in each if one is not None]
    if over is None or mean.examples is None or len(known) < len(each):
        return 0.0
    added = (np.mean(known) - over) * len(each) / (len(each) - 1)
    return max(0.0, float(added * (1 / mean.examples).mean()))


def _within(one: Pairing) -> float | None:
    known = one.examples is not None and one.variances is not None
    return within_variance(one.examples, one.variances) if known else None  # type: ignore[arg-type]


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


def read(
    ws: Workspace,
    place: tuple[str, str],
    wanted: Sequence[Asked],
    groups: Groups | None = None,
) -> list[Told]:
    """Return the answers, read at once. `place` is protocol and split.

    `groups` says of which variants (ids) personas share what was trained, and who with whom. A statistic of
    the whole set is read of the first seed alone.
    """
    groups = groups or {}
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
    jointly = [
        (number, metric, own, tuple((one, other) for one, other in found))
        for number, asked in enumerate(wanted)
        for metric in asked.metrics
        for own, found in asked.whom.items()
        if metric.total is None and own in told[number].rows[metric.name]
        if len(found) > 1 or shared_by(groups, found)
    ]
    known = _over_seeds(ws, place, [(metric, own, pairs) for _, metric, own, pairs in jointly], groups)
    for number, metric, own, pairs in jointly:
        row, seeds = known[metric.name, own, pairs]
        if row is not None:
            rows = told[number].rows[metric.name]
            rows[own] = replace(row, variant=own, reference=rows[own].reference)
        if seeds is not None and metric == wanted[number].metrics[0]:
            told[number].seeds[own] = seeds
    return told


Groups = Mapping[str, Mapping[str, int]]  # variant id -> persona -> the group that shares what was trained


def shared_by(groups: Groups, pairs: Iterable[Pair]) -> Mapping[str, int] | None:
    """Return which personas share what was trained for a variant or for what it is compared with: of several
    such groupings the coarsest; None where nobody does."""
    found = [groups[one] for pair in pairs for one in pair if one in groups]
    return min(found, key=lambda one: len(set(one.values())), default=None)


_Wanted = tuple[Metric, str, tuple[Pair, ...]]  # of which variant, over which pairs
_Told = tuple[Comparison | None, Seeds | None]  # nothing where it is that of the first pair alone


def _over_seeds(
    ws: Workspace,
    place: tuple[str, str],
    wanted: Sequence[_Wanted],
    groups: Groups,
) -> dict[tuple[str, str, tuple[Pair, ...]], _Told]:
    """Return the comparisons over all seeds, by the groups that share it: read where they are kept, else
    computed, and kept."""
    asked = {(metric.name, own, pairs): (metric, own, pairs) for metric, own, pairs in wanted}
    if not asked:
        return {}
    shared = [shared_by(groups, pairs) for _, _, pairs in asked]
    joint = [
        Joint(*one, fingerprint(found, 32) if found else "")
        for one, found in zip(asked.values(), shared, strict=True)
    ]
    slots = dict(zip(asked, store.slots(ws, place, joint), strict=True))
    found = {one: _read(slot.record) for one, slot in slots.items() if slot.record is not None}
    missing = [one for one in asked if one not in found]
    if missing:
        computed = _computed(ws, place, [asked[one] for one in missing], groups)
        found |= dict(zip(missing, computed, strict=True))
        store.fill(ws, [(slots[one], _record(found[one])) for one in missing])
    return found


def _record(told: _Told) -> str:
    return json.dumps([part and asdict(part) for part in told], allow_nan=False)


def _read(record: str) -> _Told:
    row, seeds = json.loads(record)
    means = seeds and {name: tuple(seeds[name]) for name in ("means", "deltas")}
    return row and Comparison(**row), seeds and Seeds(**{**seeds, **means})


def _computed(
    ws: Workspace,
    place: tuple[str, str],
    wanted: Sequence[_Wanted],
    groups: Groups,
) -> list[_Told]:
    paired = _pairings(ws, place, [(metric, pair) for metric, _, pairs in wanted for pair in pairs])
    singles = _singles(
        ws,
        place,
        [(metric, str(n), pairs) for n, (metric, _, pairs) in enumerate(wanted) if len(pairs) > 1],
    )
    found: list[_Told] = []
    for number, (metric, _, pairs) in enumerate(wanted):
        there = [paired[metric.name, pair] for pair in pairs if (metric.name, pair) in paired]
        there = [one for one in there if one.n_paired]
        shared = shared_by(groups, pairs)
        if len(there) > 1 or (there and shared):
            said = singles.get((metric.name, str(number)))
            found.append(judged(there, metric, shared, said))
        else:
            found.append((None, None))
    return found


def _singles(
    ws: Workspace, place: tuple[str, str], wanted: Iterable[tuple[Metric, str, Sequence[Pair]]]
) -> dict[tuple[str, str], Singles]:
    """What examples say singly of pairs, by metric and whose they are, in one reading."""
    asked: dict[str, tuple[Metric, dict[str, Sequence[Pair]]]] = {}
    for metric, own, found in wanted:
        asked.setdefault(metric.name, (metric, {}))[1][own] = found
    if not asked:
        return {}
    answers = store.over_seeds(ws, place, list(asked.values()))
    return {(name, own): one for name, held in zip(asked, answers, strict=True) for own, one in held.items()}


def judged(
    paired: Sequence[Pairing],
    metric: Metric,
    groups: Mapping[str, int] | None = None,
    singles: Singles | None = None,
) -> tuple[Comparison, Seeds | None]:
    """Return the comparison over one pairing a seed (at least one), and the seeds' record where there are
    several. `groups` says which personas share what was trained, `singles` what examples of several seeds say
    singly."""
    higher, margin = metric.higher_is_better is not False, equal_margin(metric)
    if len(paired) == 1:
        return compare(paired[0], higher_is_better=higher, equal_margin=margin, clusters=groups), None
    return over_seeds(paired, higher_is_better=higher, equal_margin=margin, groups=groups, singles=singles)


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
    found = seed_by_seed(ws, place, metric, whom, personas)
    return {own: mean_over_seeds(*one) for own, one in found.items()}


def seed_by_seed(
    ws: Workspace,
    place: tuple[str, str],
    metric: Metric,
    whom: Mapping[str, Sequence[Pair]],
    personas: Collection[str] | None = None,
) -> dict[str, tuple[list[Pairing], Singles | None]]:
    """Return the same, a pairing a seed, with what examples of several seeds say singly; of a statistic of
    the whole set the pairing of the first seed alone."""
    chosen = {
        own: [(one, other) for one, other in (found if metric.total is None else found[:1])]
        for own, found in whom.items()
    }
    wanted = [(metric, pair) for found in chosen.values() for pair in found]
    paired = {pair: one for (_, pair), one in _pairings(ws, place, wanted, personas).items()}
    there = {own: [paired[pair] for pair in found if pair in paired] for own, found in chosen.items()}
    singles = _singles(ws, place, [(metric, own, one) for own, one in chosen.items() if len(one) > 1])
    return {own: (found, singles.get((metric.name, own))) for own, found in there.items() if found}
