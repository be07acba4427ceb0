"""Taking finished run folders into results.duckdb, idempotently. Owns what of a run is kept, and the stamp.

A run is taken in again when its manifest changes, and when scores were computed for it later.

Opens nothing: the database is handed in by engine/results/store/database.py.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.domains import metrics
from engine.lm.effects import normal
from engine.results.store import statistics, tables
from engine.results.store.intake import Finished, TornRun, read_finished
from engine.results.store.place import place
from engine.results.store.statistics import Connection
from engine.results.variants import Declaration, Origin, Variant, name_variants
from engine.runs import answers, manifest
from engine.runs.runfolder import read_spec
from engine.strategies.reference import EXPERIMENT as REFERENCE
from engine.strategies.reference import references, settle

_FORM = 2
"""Which form of taking in the runs were taken in by; another number takes them all in again."""


@dataclass(frozen=True, slots=True)
class Torn:
    """A run folder that was not taken in, and why."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a refresh or a rebuild did."""

    taken_in: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    torn: tuple[Torn, ...] = ()


def present_runs(ws: Workspace) -> dict[str, str]:
    """The finished runs and a signature of each, from the folders alone. Cheap: it is asked at every look."""
    try:
        names = sorted(os.listdir(ws.runs))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    rescored, root, found = answers.rescored_runs(ws), str(ws.runs), {}
    for name in names:
        try:
            done = os.stat(f"{root}/{name}/{manifest.NAME}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        files = answers.later_files(ws, name) if name in rescored else ()
        later = "".join(f"+{one.name}:{_stamp(one.stat())}" for one in files)
        found[name] = f"{_FORM}:{_stamp(done)}{later}"
    return found


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}:{found.st_size}"


def take_in(ws: Workspace, connection: Connection) -> Report:
    present = present_runs(ws)
    known = dict(connection.execute(tables.TAKEN_IN).fetchall())
    taken, torn = [], []
    removed = sorted(set(known) - set(present))
    for run_id in removed:
        _forget(connection, run_id)
    for run_id, signature in present.items():
        if known.get(run_id) == signature:
            continue
        found = f"{signature} {_as_it_lies(ws, run_id)}"
        held, reason = _torn.get(ws.run_folder(run_id), ("", ""))
        if held == found and run_id not in known:  # it was looked through as it is now
            torn.append(Torn(run_id, reason))
            continue
        try:
            _insert(connection, read_finished(ws, run_id), signature)
            taken.append(run_id)
        except TornRun as error:
            _torn[ws.run_folder(run_id)] = found, error.message
            torn.append(Torn(run_id, error.message))
            if run_id in known:
                _forget(connection, run_id)
    report = Report(tuple(taken), tuple(removed), tuple(torn))
    if connection.execute(tables.PLACES).fetchall() == [(0,)]:
        connection.execute(tables.COUNT_PLACES)
    _settle_references(ws, connection, is_changed=bool(taken or removed))
    if taken or removed:
        shown = metrics.of_study(ws).values()
        statistics.keep_defaults(connection, named_variants(connection), origins_of(connection), shown)
    stamp = stamp_of(present, torn)
    if read_stamp(ws) != stamp:
        write_json(place(ws).stamp, stamp)
    return report


_torn: dict[Path, tuple[str, str]] = {}
"""Run folder -> how it lay when it was found torn, and why: finding out takes as long as taking one in."""


def _as_it_lies(ws: Workspace, run_id: str) -> str:
    """A text that changes when a file of a run folder is put there, replaced, written or removed."""
    with os.scandir(ws.run_folder(run_id)) as entries:
        return " ".join(sorted(f"{one.name}:{_stamp(one.stat(follow_symlinks=False))}" for one in entries))


def _settle_references(ws: Workspace, connection: Connection, *, is_changed: bool) -> None:
    """Put the chosen references beside the tables, for as long as the database is open."""
    chosen = references(ws)
    if is_changed or not chosen:
        made = connection.execute(tables.RUNS_OF, {"experiment": REFERENCE}).fetchall()
        specs = {str(run_id): read_spec(ws.run_folder(str(run_id))) for (run_id,) in made}
        built = Counter(run for one in origins_of(connection).values() for run in one.upstream.values())
        chosen = settle(ws, specs, built)
    connection.execute(tables.PLACE_REFERENCES)
    for one in chosen.values():
        connection.execute(tables.ADD_REFERENCE, [one.run_id])


def _insert(connection: Connection, run: Finished, signature: str) -> None:
    """Replace everything of one run in one transaction."""
    spec = run.spec
    connection.execute("begin")
    try:
        before = _delete(connection, spec.run_id)
        connection.execute(
            "insert into runs values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(spec.run_id, spec.experiment, spec.version, spec.seed, spec.data_hash),
                f"{spec.base} {spec.base_fingerprint}".strip(),
                *(_text(spec.parameters), _text(spec.upstream), spec.has_defaults),
                *(spec.created_at, run.finished_at, run.seconds, signature),
            ],
        )
        for name, fields in run.protocols.items():
            connection.execute("insert into protocols values (?, ?, ?)", [name, spec.run_id, _text(fields)])
        for entry in run.variants:
            told = {**asdict(entry), "recipe": _text(entry.recipe), "aliases": _text(entry.aliases)}
            row = [spec.run_id, *told.values()]
            connection.execute("insert into variants values (?, ?, ?, ?, ?, ?, ?, ?)", row)
        statistics.forget(connection, spec.run_id)
        _insert_scores(connection, run)
        _settle(connection, before | {entry.variant_id for entry in run.variants})
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _insert_scores(connection: Connection, run: Finished) -> None:
    ((first,),) = connection.execute(tables.FIRST_FREE_ANSWER).fetchall()
    numbers = pa.array(range(first, first + run.answers.num_rows), pa.int64())
    connection.register("incoming_answers", run.answers.append_column("answer", numbers))
    connection.register("incoming_scores", run.scores)
    connection.execute(tables.INSERT_ANSWERS, {"run": run.spec.run_id})
    connection.execute(tables.INSERT_TEXTS)
    connection.execute(tables.INSERT_SCORES)
    connection.execute(tables.NOTE_REPLIED, {"run": run.spec.run_id})
    connection.execute(tables.NOTE_COMPUTED, {"run": run.spec.run_id})
    connection.unregister("incoming_answers")
    connection.unregister("incoming_scores")


def _settle(connection: Connection, variants: Iterable[str]) -> None:
    """Say anew which answers of these variants count, and what each persona's add up to.

    What spans variants is only forgotten: it is counted once, after the last run.
    """
    connection.execute(tables.FORGET_PLACES)
    asked = {"variants": sorted(variants)}
    for query in (
        *(tables.CHOOSE_BEST, tables.FORGET_SUMS, tables.SUM_UP),
        *(tables.FORGET_SCORED, tables.NOTE_SCORED, tables.FORGET_COVERAGE, tables.COVER),
    ):
        connection.execute(query, asked)


def _forget(connection: Connection, run_id: str) -> None:
    connection.execute("begin")
    _settle(connection, _delete(connection, run_id))
    connection.execute("commit")


def _delete(connection: Connection, run_id: str) -> set[str]:
    """Delete all of a run; return the variants that it had scored."""
    scored = connection.execute(
        "select distinct variant_id from answers where run_id = ?", [run_id]
    ).fetchall()
    statistics.forget(connection, run_id)
    for query in tables.FORGET_OF_ANSWERS:
        connection.execute(query, {"run": run_id})
    for table in tables.OF_A_RUN:
        connection.execute(f"delete from {table} where run_id = ?", [run_id])
    return {str(variant_id) for (variant_id,) in scored}


def stamp_of(present: Mapping[str, str], torn: Iterable[Torn] = ()) -> dict[str, Any]:
    """Return what is remembered of a taking in, so that the next refresh need not open the database."""
    return {"present": dict(present), "torn": [asdict(entry) for entry in torn]}


def read_stamp(ws: Workspace) -> Any:
    try:
        return read_json(place(ws).stamp)
    except (OSError, EngineError):
        return None  # it only saves an opening


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def named_variants(connection: Connection) -> list[Variant]:
    """Return every variant under its name. They are named once for the same runs and references."""
    chosen = tuple(str(run_id) for (run_id,) in connection.execute(tables.REFERENCES).fetchall())
    runs = tuple(connection.execute(tables.TAKEN_IN).fetchall())
    found = _named.get((runs, chosen))
    if found is None:
        found = _name(connection, chosen)
        _named.clear()
        _named[runs, chosen] = found
    return list(found)


_named: dict[tuple[tuple[Any, ...], tuple[str, ...]], list[Variant]] = {}


def _name(connection: Connection, chosen: Sequence[str]) -> list[Variant]:
    answer = connection.execute(tables.VARIANTS)
    columns = [column[0] for column in answer.description]
    declared = [_declaration(dict(zip(columns, row, strict=True))) for row in answer.fetchall()]
    return name_variants(declared, origins_of(connection), chosen)


def origins_of(connection: Connection) -> dict[str, Origin]:
    rows = connection.execute(tables.ORIGINS).fetchall()
    return {
        run_id: Origin(experiment, version, seed, data, base, json.loads(parameters), json.loads(upstream))
        for run_id, experiment, version, seed, data, base, parameters, upstream in rows
    }


def _declaration(row: dict[str, Any]) -> Declaration:
    default = bool(row.pop("has_defaults"))
    row["recipe"], row["aliases"] = normal(json.loads(row["recipe"])), tuple(json.loads(row["aliases"]))
    return Declaration(**row, default=default)
