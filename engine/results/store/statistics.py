"""Paired statistics kept in results.duckdb: computed when scores come in, read by every table.

Owns what is computed beforehand (every variant against unified, against base, against what it repeats and
against its placebo, in every metric) and what is forgotten when scores change. Anything else is computed at
the first question and kept as well; what is said over several pairs at once is kept for whoever computes it,
with the runs that it rests on. Opens nothing: the store hands in its connection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from engine.core.errors import EngineError
from engine.core.kept import ENGINE, code_of
from engine.domains.metric import Metric
from engine.results.store import tables
from engine.results.variants import Origin, Variant, placebos, repeats
from engine.runs.runfolder import fingerprint
from engine.stats.compare import Comparison, compare
from engine.stats.levels import POINT
from engine.stats.pairing import Pairing, counted_pairing, pairing_of

Connection = duckdb.DuckDBPyConnection
DEFAULT_REFERENCES = ("unified", "base")
_ROOMS = ("stats", "results/store/statistics.py", "results/store/tables.py", "results/comparing/grounds.py")
VERSION = code_of(*(ENGINE / name for name in _ROOMS))[:16]
"""Of the code that computes what is kept here: by another one it is computed anew."""

Singles = dict[str, tuple[int, float]]
"""Persona -> how many examples she has, and the variance of their differences."""

_AT_ONCE = 10
"""So many comparisons are computed in one opening: about a second's worth of two thousand personas."""

_log = logging.getLogger("engine.results.store.statistics")


@dataclass(frozen=True, slots=True)
class Question:
    """Which variants (all that are scored, when None) against which one, in which metrics; ids throughout."""

    protocol: str
    split: str
    reference: str
    metrics: tuple[Metric, ...]
    variants: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Joint:
    """What is said of one variant (id) over several pairs of ids at once, in one metric. `beside` tells apart
    whatever else it is computed from."""

    metric: Metric
    variant: str
    pairs: tuple[tuple[str, str], ...]
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where such a statistic is kept, in which version, and its record if it is there."""

    key: tuple[str, ...]
    version: str
    record: str | None


def answer(connection: Connection, question: Question, known: Scored) -> dict[str, dict[str, Comparison]]:
    """Return metric -> variant id -> its comparison, the reference's own included; computes what is missing.

    Names in the comparisons are ids, and `p_holm` is None: a family is the reader's. Raises EngineError when
    an example belongs to different personas in two variants.
    """
    question = _in_force(question, known)
    wanted = question.variants
    found: dict[str, dict[str, Comparison]] = {metric.name: {} for metric in question.metrics}
    for (metric, variant_id), record in _fill(connection, question, known)[0].items():
        if wanted is None or variant_id in wanted:
            found[metric][variant_id] = Comparison(**json.loads(record))
    return found


def compute_some(connection: Connection, questions: Sequence[Question], known: Scored) -> int:
    """Compute and keep at most _AT_ONCE of the comparisons that these questions miss.

    Return how many are left.
    """
    missing = 0
    for one in questions:
        missing += _fill(connection, _in_force(one, known), known, most=max(0, _AT_ONCE - missing))[1]
    return max(0, missing - _AT_ONCE)


def keep_defaults(
    connection: Connection,
    variants: Sequence[Variant],
    origins: Mapping[str, Origin],
    metrics: Collection[Metric],
) -> None:
    """Compute what every first question asks; a fault in one table is left to whoever asks for it."""
    known, asked = scored(connection), tuple(metrics)
    defaults = [one.variant_id for one in variants if one.is_reference or one.variant in DEFAULT_REFERENCES]
    pairs = [*repeats(variants, origins).items(), *placebos(variants, origins).items()]
    there: dict[tuple[str, str], set[str]] = {}
    for (protocol, split, _), by_version in known.held.items():
        there.setdefault((protocol, split), set()).update(*by_version.values())
    for (protocol, split), ids in there.items():
        questions = [Question(protocol, split, name, asked) for name in defaults if name in ids]
        for one, against in pairs:
            if {one, against} <= ids:
                questions.append(Question(protocol, split, against, asked, frozenset({one})))
        for question in questions:
            try:
                _fill(connection, _in_force(question, known), known)
            except EngineError as error:
                _log.warning(
                    "Statistics of %s on %s are not kept: %s", question.protocol, split, error.message
                )


def forget(connection: Connection, run_id: str) -> None:
    """Drop every statistic that rests on scores of this run."""
    connection.execute(tables.FORGET_STATISTICS, {"run": run_id})


def slots(
    connection: Connection, place: tuple[str, str], asked: Sequence[Joint], known: Scored
) -> list[Slot]:
    """Return where each statistic over several pairs is kept; a record is there only while no run that it
    rests on has changed."""
    ids = sorted({name for one in asked for pair in one.pairs for name in (one.variant, *pair)})
    runs = dict(connection.execute(tables.SIGNATURES, {"variants": ids}).fetchall())
    held: dict[tuple[str, ...], tuple[str, str]] = {}
    metrics = sorted({one.metric.name for one in asked})
    for against in {_jointly(one) for one in asked}:
        rows = connection.execute(tables.STATISTICS, [*place, against, metrics]).fetchall()
        held |= {(*place, against, metric, own): (version, record) for metric, own, version, record in rows}
    found = []
    for one in asked:
        metric = known.in_force(one.metric, *place)
        rests_on = [[*pair, *(runs.get(name) for name in pair)] for pair in one.pairs]
        version = f"{_version(metric)}-{fingerprint([rests_on, one.beside], 32)}"
        key = (*place, _jointly(one), metric.name, one.variant)
        there, record = held.get(key, ("", ""))
        found.append(Slot(key, version, record if there == version else None))
    return found


def fill(connection: Connection, records: Collection[tuple[Slot, str]]) -> None:
    """Keep records where they belong, in the place of older ones."""
    connection.execute("begin")
    for slot, record in records:
        connection.execute(tables.FORGET_STATISTIC, slot.key)
        connection.execute(tables.KEEP_STATISTICS, [*slot.key, slot.version, record])
    connection.execute("commit")


def _jointly(asked: Joint) -> str:
    return f"{asked.pairs[0][1]} and others"


def pairings(
    connection: Connection,
    question: Question,
    variants: Collection[str],
    known: Scored,
    personas: Collection[str] | None = None,
) -> dict[str, Pairing]:
    """Return each variant's pairing with the reference in the question's one metric, by variant id.

    `personas` leaves out all others. Raises EngineError when an example belongs to different personas.
    """
    (metric,) = _in_force(question, known).metrics
    asked = {
        "protocol": question.protocol,
        "split": question.split,
        "metric": metric.name,
        "version": metric.version,
        "reference": question.reference,
    }
    whose = connection.execute(tables.EXAMPLES_OF, asked).fetchall()
    held = {str(persona): int(n) for persona, n in whose}
    fractions = metric.unit == "fraction"
    query = tables.pairs(fractions=fractions) if metric.total is None else tables.COUNTED_PAIRS
    rows = connection.execute(query, {**asked, "variants": sorted(variants)}).df()
    return {
        str(variant): (
            pairing_of(table, held, personas=personas)
            if metric.total is None
            else counted_pairing(table, held, metric.total, personas=personas)
        )
        for variant, table in rows.groupby("variant_id", sort=False)
    }


def over_seeds(
    connection: Connection,
    place: tuple[str, str],
    metric: Metric,
    pairs: Mapping[str, Collection[tuple[str, str]]],
    known: Scored,
) -> dict[str, Singles]:
    """Return for each owner of several pairs (variant and what it is compared with, a pair a seed) what her
    examples say singly of each persona, an example being the mean over the seeds."""
    (metric,) = _in_force(Question(*place, "", (metric,)), known).metrics
    asked = [(owner, one, other) for owner, found in sorted(pairs.items()) for one, other in found]
    owners, variants, against = (list(column) for column in zip(*asked, strict=True))
    told = {"protocol": place[0], "split": place[1], "metric": metric.name, "version": metric.version}
    rows = connection.execute(
        tables.OVER_SEEDS, {**told, "owners": owners, "variants": variants, "against": against}
    ).fetchall()
    found: dict[str, Singles] = {}
    for owner, persona, n, variance in rows:
        found.setdefault(str(owner), {})[str(persona)] = (int(n), float(variance))
    return found


@dataclass(frozen=True, slots=True)
class Scored:
    """Which variants are scored in which version of a metric, by protocol, split and metric."""

    held: Mapping[tuple[str, str, str], Mapping[str, Collection[str]]]

    def in_force(self, metric: Metric, protocol: str, split: str) -> Metric:
        """Return the metric as it is read there: in its present version, or, where nothing is scored in that,
        in the older one that most variants are scored in. Versions are never mixed."""
        there = self.held.get((protocol, split, metric.name), {})
        older = [version for version in there if version]
        if not older or metric.version in older:
            return metric
        return replace(metric, version=max(older, key=lambda version: (len(there[version]), version)))

    def variants(self, metric: Metric, protocol: str, split: str) -> set[str]:
        """Return the variants that are scored in just this version of the metric, or in none."""
        there = self.held.get((protocol, split, metric.name), {})
        return {*there.get(metric.version, ()), *there.get("", ())}


def scored(connection: Connection) -> Scored:
    """Read who is scored in what."""
    found: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    for protocol, split, metric, version, variant_id in connection.execute(tables.SCORED).fetchall():
        found.setdefault((protocol, split, metric), {}).setdefault(version, set()).add(variant_id)
    return Scored(found)


def _in_force(question: Question, known: Scored) -> Question:
    read = [known.in_force(one, question.protocol, question.split) for one in question.metrics]
    return replace(question, metrics=tuple(read))


def _version(metric: Metric) -> str:
    return f"{VERSION}-{metric.version}"


def _key(question: Question) -> list[str]:
    return [question.protocol, question.split, question.reference]


def _kept(connection: Connection, question: Question) -> dict[tuple[str, str], str]:
    """The records kept in their present version, by metric and variant id."""
    versions = {metric.name: _version(metric) for metric in question.metrics}
    rows = connection.execute(tables.STATISTICS, [*_key(question), list(versions)]).fetchall()
    return {
        (metric, variant_id): record
        for metric, variant_id, version, record in rows
        if versions.get(metric) == version
    }


def _fill(
    connection: Connection, question: Question, known: Scored, *, most: int | None = None
) -> tuple[dict[tuple[str, str], str], int]:
    """Compute and keep what is missing, at most so many: of variants that are scored there, beside the
    reference, only. Return all that is kept, as `_kept`, and how many were missing before."""
    kept, were_missing = _kept(connection, question), 0
    for metric in question.metrics:
        there = known.variants(metric, question.protocol, question.split)
        if question.reference not in there:
            continue
        wanted = there if question.variants is None else there & question.variants
        missing = sorted(one for one in wanted if (metric.name, one) not in kept)
        were_missing += len(missing)
        missing = missing[: None if most is None else max(0, most - (were_missing - len(missing)))]
        if not missing:
            continue
        paired = pairings(connection, replace(question, metrics=(metric,)), missing, known)
        connection.execute("begin")
        for variant_id, one in paired.items():
            key = [*_key(question), metric.name, variant_id]
            connection.execute(tables.FORGET_STATISTIC, key)
            record = _compare(one, metric, variant_id, question.reference)
            connection.execute(tables.KEEP_STATISTICS, [*key, _version(metric), record])
            kept[metric.name, variant_id] = record
        connection.execute("commit")
    return kept, were_missing


def _compare(paired: Pairing, metric: Metric, variant_id: str, reference: str) -> str:
    found = compare(
        paired,
        higher_is_better=metric.higher_is_better is not False,
        equal_margin=equal_margin(metric),
    )
    return json.dumps({**found.as_json(), "variant": variant_id, "reference": reference}, allow_nan=False)


def equal_margin(metric: Metric) -> float | None:
    """Return how far apart two variants still are equal in a metric; None where it is no fraction."""
    return POINT if metric.unit == "fraction" else None
