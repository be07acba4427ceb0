"""results.duckdb: what the finished runs left, indexed for reading. No other package opens it.

Always opened the same way, for a moment, under an inter-process lock. Holds nothing that is not in the
run folders: a damaged or deleted database is built again from them, and nobody sees a database error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.core.base_identity import base_of
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.results import votes as votes_file
from engine.results.comparing.repeats import Origin
from engine.results.store import database, statistics, tables
from engine.results.store.database import ask, unreadable
from engine.results.store.filling import (
    Connection,
    Report,
    Torn,
    kept_votes,
    named_variants,
    origins_of,
    present_runs,
    read_stamp,
)
from engine.results.store.intake import METRIC_COLUMNS
from engine.results.store.place import place
from engine.results.store.statistics import Question
from engine.results.variants import Variant
from engine.runs.protocol import WRITTEN_AS, without_remarks
from engine.runs.runfolder import fingerprint
from engine.stats.compare import Comparison

__all__ = ["Overview", "Report", "Torn", "unreadable"]


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """What is scored where (as `coverage`), variants by name, origins by run, protocols' fields by hash."""

    coverage: pd.DataFrame
    variants: dict[str, Variant]
    origins: dict[str, Origin]
    protocols: dict[str, dict[str, Any]]


def refresh(ws: Workspace) -> Report:
    """Take in runs finished or changed since, drop those whose folder is gone; cheap when there are none."""
    present = present_runs(ws)
    wanted = {"present": present, "torn": [], "votes": votes_file.signature(ws)}
    if place(ws).database.exists() and read_stamp(ws) == wanted:
        return Report()
    return ask(ws, lambda _: None)[1]


def rebuild(ws: Workspace) -> Report:
    """Build the database anew from the run folders; return what was taken in and what was found torn."""
    report = database.rebuild(ws)
    return Report(report.taken_in, (), report.torn, rebuilt="asked for")


def version(ws: Workspace) -> str:
    """Return a token that changes whenever the results do, or the base they stand on; opens no database."""
    try:
        base = base_of(ws).fingerprint
    except EngineError:  # no base is needed to look at results
        base = ""
    return fingerprint([base, present_runs(ws)], 16)


def variants(ws: Workspace) -> list[Variant]:
    """Return every variant under its name on screens, in the order of their making."""
    return ask(ws, named_variants)[0]


def protocols(ws: Workspace) -> pd.DataFrame:
    """Return one row a protocol and split, newest protocol first.

    Columns: protocol, split, variants, personas, examples (counts), newest_at, fields (a dict).
    """

    def question(connection: Connection) -> pd.DataFrame:
        frame, fields = connection.execute(tables.PROTOCOLS).df(), _protocol_fields(connection)
        return frame.assign(fields=[fields[name] for name in frame["protocol"]])

    return ask(ws, question)[0]


def newest_protocol(ws: Workspace) -> str | None:
    """Return the hash of the protocol scored last, None when nothing is scored."""
    frame = protocols(ws)
    return None if frame.empty else str(frame["protocol"].iloc[0])


def coverage(ws: Workspace) -> pd.DataFrame:
    """Return what is scored where: protocol, split, variant, personas, examples; newest protocol first."""
    return _with_names(ws, tables.COVERAGE, ())


def score_table(ws: Workspace, *, metric: str, split: str, protocol: str | None = None) -> pd.DataFrame:
    """Return one row a variant and example: variant, persona_id, example_id, value (NaN where undefined).

    `protocol` is by default the newest. Raises EngineError for a metric that is not kept.
    """
    query = tables.SCORES.format(value=f"s.{_known_metric(metric)}")
    return _with_names(ws, query, (split, protocol or newest_protocol(ws)))


def paired(ws: Workspace, questions: Sequence[Question]) -> list[dict[str, dict[str, Comparison]]]:
    """Return for each question metric -> variant id -> its paired statistics; kept ones are only read."""
    return ask(ws, lambda connection: [statistics.answer(connection, one) for one in questions])[0]


def overview(ws: Workspace) -> Overview:
    """Return what is scored where, and where it comes from, in one reading."""

    def question(connection: Connection) -> Overview:
        named = named_variants(connection)
        coverage = _joined(connection, named, tables.COVERAGE, ())
        found = {one.variant: one for one in named}
        return Overview(coverage, found, origins_of(connection), _protocol_fields(connection))

    return ask(ws, question)[0]


def persona_means(ws: Workspace, *, metric: str, split: str, protocol: str | None = None) -> pd.DataFrame:
    """Return one row a variant and persona: variant, persona_id, mean, n (defined), n_undefined."""
    query = tables.MEANS.format(value=f"s.{_known_metric(metric)}")
    return _with_names(ws, query, (split, protocol or newest_protocol(ws)))


def reply_costs(ws: Workspace, *, split: str, protocol: str) -> pd.DataFrame:
    """Return the mean cost of a reply, one row a variant: variant, seconds, reply_tokens (NaN: not known)."""
    return _with_names(ws, tables.COSTS, (split, protocol))


def example_rows(
    ws: Workspace,
    *,
    persona_id: str | None = None,
    split: str = "test",
    protocol: str | None = None,
    variant: str | None = None,
    example_id: str | None = None,
) -> pd.DataFrame:
    """Return what the variants said: variant, ids, reply, reference, retrieved, tokens, seconds, all metrics.

    Every filter that is None lets everything pass; `protocol` is by default the newest.
    """
    filters = (persona_id, persona_id, example_id, example_id, variant, variant)
    return _with_names(ws, tables.EXAMPLES, (split, protocol or newest_protocol(ws), *filters))


def votes(ws: Workspace) -> list[votes_file.Vote]:
    """Return the blind votes that stand, first to last."""
    return ask(ws, kept_votes)[0]


# --- reading


def _with_names(ws: Workspace, query: str, values: tuple[Any, ...]) -> pd.DataFrame:
    """Run a query that may join `names` (variant_id, variant)."""

    def question(connection: Connection) -> pd.DataFrame:
        return _joined(connection, named_variants(connection), query, values)

    return ask(ws, question)[0]


def _protocol_fields(connection: Connection) -> dict[str, dict[str, Any]]:
    """Each protocol's fields; `written_as` lists the hashes under which its older runs wrote it."""
    found = {}
    for name, told in connection.execute(tables.PROTOCOL_FIELDS).fetchall():
        read: list[dict[str, Any]] = [json.loads(text) for text in told]
        older = sorted({str(fields[WRITTEN_AS]) for fields in read if WRITTEN_AS in fields})
        found[str(name)] = without_remarks(read[0]) | ({WRITTEN_AS: older} if older else {})
    return found


def _joined(
    connection: Connection, named: Sequence[Variant], query: str, values: tuple[Any, ...]
) -> pd.DataFrame:
    names = {"variant_id": [one.variant_id for one in named], "variant": [one.variant for one in named]}
    connection.register("names", pd.DataFrame(names, dtype="str"))
    return connection.execute(query, list(values)).df()


def _known_metric(metric: str) -> str:
    if metric not in METRIC_COLUMNS:
        raise unknown_name("metric", metric, METRIC_COLUMNS)
    return metric
