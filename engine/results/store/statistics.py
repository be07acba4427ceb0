"""Paired statistics kept in results.duckdb: computed when scores come in, read by every table.

Owns what is computed beforehand (every variant against unified, against base, against what it repeats and
against its placebo, in every metric) and what is forgotten when scores change. Anything else is computed at
the first question and kept as well. Opens nothing: the store hands in its connection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.errors import EngineError
from engine.domains.metrics import METRICS
from engine.results.comparing.placebos import placebos
from engine.results.comparing.repeats import Origin, repeats
from engine.results.store import tables
from engine.results.store.intake import METRIC_COLUMNS
from engine.results.store.tables import Connection
from engine.results.variants import Variant
from engine.stats.bootstrap import DEFAULT_KIND
from engine.stats.compare import Comparison, compare
from engine.stats.pairing import Table, index, pair

DEFAULT_REFERENCES = ("unified", "base")
VERSION = f"1-{DEFAULT_KIND}"

_log = logging.getLogger("engine.results.store.statistics")


@dataclass(frozen=True, slots=True)
class Question:
    """Which variants (all that are scored, when None) against which one, in which metrics; ids throughout."""

    protocol: str
    split: str
    reference: str
    metrics: tuple[str, ...] = METRIC_COLUMNS
    variants: frozenset[str] | None = None


def answer(connection: Connection, question: Question) -> dict[str, dict[str, Comparison]]:
    """Return metric -> variant id -> its comparison, the reference's own included; computes what is missing.

    Names in the comparisons are ids, and `p_holm` is None: a family is the reader's. Raises EngineError when
    an example belongs to different personas in two tables.
    """
    _fill(connection, question)
    rows = connection.execute(tables.STATISTICS, [*_key(question), VERSION]).fetchall()
    wanted = question.variants
    found: dict[str, dict[str, Comparison]] = {metric: {} for metric in question.metrics}
    for metric, variant_id, record in rows:
        if metric in found and (wanted is None or variant_id in wanted):
            found[metric][variant_id] = Comparison(**json.loads(record))
    return found


def keep_defaults(connection: Connection, variants: Sequence[Variant], origins: Mapping[str, Origin]) -> None:
    """Compute what every first question asks; a fault in one table is left to whoever asks for it."""
    scored: dict[tuple[str, str], set[str]] = {}
    for protocol, split, variant_id in connection.execute(tables.SCORED).fetchall():
        scored.setdefault((protocol, split), set()).add(variant_id)
    defaults = [one.variant_id for one in variants if one.variant in DEFAULT_REFERENCES]
    pairs = [*repeats(variants, origins).items(), *placebos(variants, origins).items()]
    for (protocol, split), there in scored.items():
        questions = [Question(protocol, split, name) for name in defaults if name in there]
        for one, against in pairs:
            if {one, against} <= there:
                questions.append(Question(protocol, split, against, variants=frozenset({one})))
        for question in questions:
            try:
                _fill(connection, question)
            except EngineError as error:
                _log.warning(
                    "Statistics of %s on %s are not kept: %s", question.protocol, split, error.message
                )


def forget(connection: Connection, run_id: str) -> None:
    """Drop every statistic that rests on scores of this run."""
    connection.execute(tables.FORGET_STATISTICS, [run_id, run_id])


def _key(question: Question) -> list[str]:
    return [question.protocol, question.split, question.reference]


def _fill(connection: Connection, question: Question) -> None:
    missing = _missing(connection, question)
    if not missing:
        return
    metrics = sorted({metric for metric, _ in missing}, key=METRIC_COLUMNS.index)
    involved = sorted({variant_id for _, variant_id in missing} | {question.reference})
    scores = _scores(connection, question, metrics, involved)
    made = [
        (metric, variant_id, _compare(scores, metric, variant_id, question.reference))
        for metric, variant_id in missing
    ]
    connection.execute("begin")
    connection.execute(tables.DROP_STATISTICS, [*_key(question), VERSION])
    for metric, variant_id, record in made:
        connection.execute(tables.KEEP_STATISTICS, [*_key(question), metric, variant_id, VERSION, record])
    connection.execute("commit")


def _missing(connection: Connection, question: Question) -> list[tuple[str, str]]:
    """The (metric, variant id) not kept yet; of variants that are scored there only."""
    rows = connection.execute(tables.SCORED_THERE, [question.protocol, question.split]).fetchall()
    there = {variant_id for (variant_id,) in rows}
    if question.reference not in there:
        return []
    wanted = there if question.variants is None else there & question.variants
    kept_rows = connection.execute(tables.KEPT, [*_key(question), VERSION]).fetchall()
    kept = {(metric, variant_id) for metric, variant_id in kept_rows}
    return sorted({(metric, one) for metric in question.metrics for one in wanted} - kept)


def _scores(
    connection: Connection, question: Question, metrics: Iterable[str], involved: Collection[str]
) -> dict[tuple[str, str], Table]:
    """Return (metric, variant id) -> the scores of one variant in one metric."""
    columns = ", ".join(metrics)
    marks = ", ".join("?" for _ in involved)
    query = tables.SCORES_OF.format(columns=columns, marks=marks)
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for row in connection.execute(query, [question.protocol, question.split, *involved]).fetchall():
        grouped.setdefault(row[0], []).append(row)
    return {
        (metric, variant_id): index(((row[1], row[2], row[3 + place]) for row in rows), name=variant_id)
        for variant_id, rows in grouped.items()
        for place, metric in enumerate(metrics)
    }


def _compare(scores: Mapping[tuple[str, str], Table], metric: str, variant_id: str, reference: str) -> str:
    paired = pair(scores[metric, variant_id], scores[metric, reference])
    found = compare(paired, higher_is_better=METRICS[metric].higher_is_better is not False)
    named = {**found.as_json(), "variant": variant_id, "reference": reference}
    return json.dumps(named, allow_nan=False)
