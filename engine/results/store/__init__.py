"""results.duckdb: what the finished runs left, indexed for reading. No other package opens it.

Always opened the same way, for a moment, under an inter-process lock. Holds nothing that is not in the
run folders: a damaged or deleted database is built again from them, and nobody sees a database error.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from engine.core.base_identity import base_of
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.results.store import database, statistics, tables
from engine.results.store.database import ask, unreadable
from engine.results.store.filling import (
    Connection,
    Report,
    Torn,
    named_variants,
    origins_of,
    present_runs,
    read_stamp,
    stamp_of,
)
from engine.results.store.place import place
from engine.results.store.statistics import Joint, Question, Scored, Singles, Slot
from engine.results.variants import Origin, Variant
from engine.runs.protocol import WRITTEN_AS, without_remarks
from engine.runs.runfolder import fingerprint
from engine.stats.compare import Comparison
from engine.stats.pairing import Pairing
from engine.strategies.reference import references

__all__ = ["Overview", "Report", "Torn", "unreadable"]


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """What is scored where and in which metrics, variants by name, origins by run, protocols' fields by hash.

    `coverage` has a row a protocol, split and variant, newest protocol first: personas and examples (counts).
    """

    coverage: pd.DataFrame
    variants: dict[str, Variant]
    origins: dict[str, Origin]
    protocols: dict[str, dict[str, Any]]
    scored: Scored


COUNTING: ContextVar[Callable[[int], None]] = ContextVar("counting", default=lambda _: None)
"""Who hears, in this thread, how many comparisons are still to be computed."""
_TURN_SECONDS = 0.1  # who waits for the store looks at its lock more often


def refresh(ws: Workspace) -> Report:
    """Take in runs finished or changed since, drop those whose folder is gone; cheap when there are none."""
    if place(ws).database.exists() and read_stamp(ws) == stamp_of(present_runs(ws)):
        return Report()
    return ask(ws, lambda _: None)[1]


def torn(ws: Workspace) -> list[Torn]:
    """Return the finished runs whose folders cannot be taken in, with the reason."""
    refresh(ws)
    return [Torn(**entry) for entry in (read_stamp(ws) or {}).get("torn", ())]


def rebuild(ws: Workspace) -> Report:
    """Build the database anew from the run folders; return what was taken in and what was found torn."""
    return database.rebuild(ws)


def version(ws: Workspace) -> str:
    """Return a token that changes whenever the results do, the base they stand on or the reference; opens no
    database."""
    try:
        base = base_of(ws).fingerprint
    except EngineError:  # no base is needed to look at results
        base = ""
    chosen = sorted(one.run_id for one in references(ws).values())
    return fingerprint([base, present_runs(ws), chosen], 16)


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


def score_table(
    ws: Workspace,
    *,
    metric: str,
    split: str,
    protocol: str | None = None,
    variants: Collection[str] | None = None,
    persona_id: str | None = None,
) -> pd.DataFrame:
    """Return one row a variant and example: variant, persona_id, example_id, value (NaN where undefined).

    `variants` (names on screens) and `persona_id` leave out all others, and nothing of those is read. Of a
    statistic of the whole set there is one row a persona, her own. `protocol` is by default the newest.
    Raises EngineError for a metric that the study does not have.
    """
    chosen, protocol = metrics.chosen(ws, metric), protocol or newest_protocol(ws)
    if chosen.total is None:
        query = tables.scores(of_variants=variants is not None, of_persona=persona_id is not None)
        return _of_metric(ws, query, chosen, split, protocol, variants=variants, persona_id=persona_id)
    found = persona_means(ws, metric=metric, split=split, protocol=protocol)
    found = found if variants is None else found[found["variant"].isin(list(variants))]
    found = found if persona_id is None else found[found["persona_id"] == persona_id]
    table = found[["variant", "persona_id"]].assign(value=found["mean"])
    table.insert(2, "example_id", "persona:" + table["persona_id"])
    return table.reset_index(drop=True)


def personas_scored(ws: Workspace, *, metric: str, split: str, protocol: str) -> tuple[str, ...]:
    """Return the personas that have a score of any variant, by name."""
    chosen = metrics.chosen(ws, metric)
    return tuple(map(str, _of_metric(ws, tables.WHOSE, chosen, split, protocol)["persona_id"]))


def paired(ws: Workspace, questions: Sequence[Question]) -> list[dict[str, dict[str, Comparison]]]:
    """Return for each question metric -> variant id -> its paired statistics; kept ones are only read.

    Others are computed a few at an opening, so that whoever else asks comes in between; `COUNTING` hears how
    many are left.
    """

    def found(connection: Connection) -> tuple[int, list[dict[str, dict[str, Comparison]]]]:
        known = statistics.scored(connection)
        left = statistics.compute_some(connection, questions, known)
        return left, [] if left else [statistics.answer(connection, one, known) for one in questions]

    left, answers = ask(ws, found)[0]
    while left:
        COUNTING.get()(left)
        time.sleep(_TURN_SECONDS)
        left, answers = ask(ws, found)[0]
    return answers


def all_pairings(
    ws: Workspace,
    asked: Sequence[tuple[Question, Collection[str]]],
    *,
    personas: Collection[str] | None = None,
) -> list[dict[str, Pairing]]:
    """Return the pairings of several questions, each with its variants, in one reading."""

    def found(connection: Connection) -> list[dict[str, Pairing]]:
        known = statistics.scored(connection)
        return [statistics.pairings(connection, one, ids, known, personas) for one, ids in asked]

    return ask(ws, found)[0]


def over_seeds(
    ws: Workspace,
    place: tuple[str, str],
    asked: Sequence[tuple[Metric, Mapping[str, Collection[tuple[str, str]]]]],
) -> list[dict[str, Singles]]:
    """Return what examples say singly of what was made from several seeds, metric by metric, in one reading:
    variant id -> persona -> how many examples, and the variance of their means over the seeds."""

    def found(connection: Connection) -> list[dict[str, Singles]]:
        known = statistics.scored(connection)
        return [statistics.over_seeds(connection, place, *one, known) for one in asked]

    return ask(ws, found)[0]


def slots(ws: Workspace, place: tuple[str, str], asked: Sequence[Joint]) -> list[Slot]:
    """Return where statistics over several pairs are kept, each with its record if it is there."""
    return ask(ws, lambda held: statistics.slots(held, place, asked, statistics.scored(held)))[0]


def fill(ws: Workspace, records: Collection[tuple[Slot, str]]) -> None:
    """Keep the records of such statistics, made from what was read after their slots were."""
    ask(ws, lambda held: statistics.fill(held, records))


def overview(ws: Workspace) -> Overview:
    """Return what is scored where, and where it comes from, in one reading; the same object again while the
    results stay the same, which nobody may change."""
    here, now = place(ws).database, version(ws)
    kept = _overviews.get(here)
    if kept is None or kept[0] != now or not here.exists():
        found = _overview(ws)
        kept = version(ws), found  # the reference may have been settled meanwhile
        if kept[0] == now:
            _overviews[here] = kept
    return kept[1]


_overviews: dict[Path, tuple[str, Overview]] = {}


def _overview(ws: Workspace) -> Overview:
    def question(connection: Connection) -> Overview:
        named = named_variants(connection)
        coverage = _joined(connection, named, tables.COVERAGE, {})
        found, known = {one.variant: one for one in named}, statistics.scored(connection)
        return Overview(coverage, found, origins_of(connection), _protocol_fields(connection), known)

    return ask(ws, question)[0]


def persona_means(ws: Workspace, *, metric: str, split: str, protocol: str | None = None) -> pd.DataFrame:
    """Return one row a variant and persona: variant, persona_id, mean, n (defined), n_undefined."""
    chosen = metrics.chosen(ws, metric)
    rows = _of_metric(ws, tables.MEANS, chosen, split, protocol or newest_protocol(ws))
    if chosen.total is None:
        return rows.drop(columns=["part", "total"])
    keys = ["variant", "persona_id"]
    sums = rows.pivot_table(index=keys, columns="part", values="total", aggfunc="sum", fill_value=0.0)
    values = chosen.total({str(part): sums[part].to_numpy() for part in sums.columns})
    counts = rows.groupby(keys)[["n", "n_undefined"]].max()
    return sums.index.to_frame(index=False).assign(mean=values).merge(counts.reset_index(), on=keys)


def reply_costs(ws: Workspace, *, split: str, protocol: str) -> pd.DataFrame:
    """Return the mean cost of a reply, one row a variant: variant, seconds, reply_tokens (NaN: not known)."""
    asked = {"split": split, "protocol": protocol}
    return ask(ws, lambda held: _joined(held, named_variants(held), tables.COSTS, asked))[0]


def example_rows(
    ws: Workspace,
    *,
    persona_id: str | None = None,
    split: str = "test",
    protocol: str | None = None,
    variants: Sequence[str] | None = None,
    examples: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return what the variants said: variant, ids, reply, reference, retrieved, tokens, seconds, and a column
    a metric of the study (NaN where undefined or not computed).

    `persona_id` leaves out all others, `variants` and `examples` too; `protocol` is by default the newest.
    """
    asked = {
        "split": split,
        "protocol": protocol or newest_protocol(ws),
        "persona_id": persona_id,
        "variants": None if variants is None else list(variants),
    }
    shown = metrics.of_study(ws).values()

    def question(connection: Connection) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
        known, under = statistics.scored(connection), str(asked["protocol"])
        versions = {one.name: known.in_force(one, under, split).version for one in shown}
        said = _joined(connection, named_variants(connection), tables.EXAMPLES, asked)
        said = said if examples is None else said[said["example_id"].isin(list(examples))]
        answers = {"answers": said["answer"].tolist()}
        return said, connection.execute(tables.EXAMPLE_SCORES, answers).df(), versions

    said, scores, versions = ask(ws, question)[0]
    counts = (scores["version"] == "") | (scores["version"] == scores["metric"].map(versions))
    wide = (
        scores[counts].pivot(index="answer", columns="metric", values="value").reindex(columns=list(versions))
    )
    return said.merge(wide, left_on="answer", right_index=True, how="left").drop(columns="answer")


def missing(ws: Workspace) -> dict[str, tuple[str, ...]]:
    """Return metric -> the runs with replies not scored in its present version, the newest run last."""
    shown = metrics.of_study(ws)

    def question(connection: Connection) -> dict[str, tuple[str, ...]]:
        asked = {"metrics": list(shown), "versions": [one.version for one in shown.values()]}
        found: dict[str, list[str]] = {}
        for metric, run_id in connection.execute(tables.UNSCORED, asked).fetchall():
            found.setdefault(metric, []).append(run_id)
        return {name: tuple(found[name]) for name in shown if name in found}

    return ask(ws, question)[0]


# --- reading


def _of_metric(
    ws: Workspace,
    query: str,
    metric: Metric,
    split: str,
    protocol: str | None,
    *,
    variants: Collection[str] | None = None,
    persona_id: str | None = None,
) -> pd.DataFrame:
    def question(connection: Connection) -> pd.DataFrame:
        read = statistics.scored(connection).in_force(metric, protocol or "", split)
        asked: dict[str, Any] = {"metric": read.name, "version": read.version, "split": split}
        named = named_variants(connection)
        if variants is not None:
            asked["variants"] = [one.variant_id for one in named if one.variant in variants]
        if persona_id is not None:
            asked["persona_id"] = persona_id
        return _joined(connection, named, query, {**asked, "protocol": protocol})

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
    connection: Connection, named: Sequence[Variant], query: str, values: Mapping[str, Any]
) -> pd.DataFrame:
    names = {"variant_id": [one.variant_id for one in named], "variant": [one.variant for one in named]}
    connection.register("names", pd.DataFrame(names, dtype="str"))
    return connection.execute(query, dict(values)).df()
