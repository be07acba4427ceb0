"""results.duckdb: what the finished runs left, indexed for reading. The only module that opens it.

Always opened the same way, for a moment, under an inter-process lock. Holds nothing that is not in the
run folders: a damaged or deleted database is built again from them, and nobody sees a database error.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pandas as pd

from engine import manifest, statistics, tables
from engine.errors import EngineError, unknown_name
from engine.intake import METRIC_COLUMNS, DeclaredVariant, Finished, TornRun, read_finished
from engine.locks import locked
from engine.paths import Workspace, write_json
from engine.repeats import Origin
from engine.runfolder import fingerprint
from engine.statistics import Question
from engine.stats.compare import Comparison
from engine.variants import Declaration, Variant, name_variants

Answer = TypeVar("Answer")
Connection = duckdb.DuckDBPyConnection

_log = logging.getLogger("engine.store")
_STAMP = ".results-stamp.json"
_LOCK = ".results.lock"


@dataclass(frozen=True, slots=True)
class Torn:
    """A run folder that was not taken in, and why."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a refresh or a rebuild did. `rebuilt` says why the database was built anew, if it was."""

    taken_in: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    torn: tuple[Torn, ...] = ()
    rebuilt: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """What is scored where (as `coverage`), variants by name, origins by run, protocols' fields by hash."""

    coverage: pd.DataFrame
    variants: dict[str, Variant]
    origins: dict[str, Origin]
    protocols: dict[str, dict[str, Any]]


def refresh(ws: Workspace) -> Report:
    """Take in runs finished or changed since, drop those whose folder is gone; cheap when there are none."""
    present = _present(ws)
    if ws.database.exists() and _read_stamp(ws) == {"present": present, "torn": []}:
        return Report()
    return _ask(ws, lambda _: None)[1]


def rebuild(ws: Workspace) -> Report:
    """Build the database anew from the run folders; return what was taken in and what was found torn."""
    with _lock(ws):
        _discard(ws)
        with _opened(ws) as connection:
            report = _take_in(ws, connection)
    return Report(report.taken_in, (), report.torn, rebuilt="asked for")


def version(ws: Workspace) -> str:
    """Return a token that changes whenever the results do; opens no database."""
    return fingerprint(_present(ws), 16)


def variants(ws: Workspace) -> list[Variant]:
    """Return every variant under its name on screens, in the order of their making."""
    return _ask(ws, _named_variants)[0]


def protocols(ws: Workspace) -> pd.DataFrame:
    """Return one row a protocol and split, newest protocol first.

    Columns: protocol, split, variants, personas, examples (counts), newest_at, fields (a dict).
    """
    frame = _ask(ws, lambda connection: connection.execute(tables.PROTOCOLS).df())[0]
    frame["fields"] = [json.loads(text) for text in frame["fields"]]
    return frame


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
    return _ask(ws, lambda connection: [statistics.answer(connection, one) for one in questions])[0]


def overview(ws: Workspace) -> Overview:
    """Return what is scored where, and where it comes from, in one reading."""

    def question(connection: Connection) -> Overview:
        named = _named_variants(connection)
        coverage = _joined(connection, named, tables.COVERAGE, ())
        fields = connection.execute(tables.PROTOCOL_FIELDS).fetchall()
        protocols = {name: json.loads(text) for name, text in fields}
        return Overview(coverage, {one.variant: one for one in named}, _origins(connection), protocols)

    return _ask(ws, question)[0]


def persona_means(ws: Workspace, *, metric: str, split: str, protocol: str | None = None) -> pd.DataFrame:
    """Return one row a variant and persona: variant, persona_id, mean, n (defined), n_undefined."""
    query = tables.MEANS.format(value=f"s.{_known_metric(metric)}")
    return _with_names(ws, query, (split, protocol or newest_protocol(ws)))


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
    filters = (persona_id, persona_id, variant, variant, example_id, example_id)
    return _with_names(ws, tables.EXAMPLES, (split, protocol or newest_protocol(ws), *filters))


def unreadable(ws: Workspace) -> str | None:
    """Return why the database cannot be read, None when it can or does not exist yet. Mends nothing."""
    if not ws.database.exists():
        return None
    with _lock(ws):
        try:
            connection = duckdb.connect(str(ws.database))
        except duckdb.Error as error:
            return str(error).splitlines()[0]
        connection.close()
    return None


# --- opening


def _lock(ws: Workspace) -> AbstractContextManager[None]:
    return locked(ws.data / _LOCK, what="The results database", timeout_seconds=120.0)


def _ask(ws: Workspace, question: Callable[[Connection], Answer]) -> tuple[Answer, Report]:
    """Bring the database up to date, put a question to it, close it; a damaged one is built anew, once."""
    ws.read_config()
    with _lock(ws):
        try:
            with _opened(ws) as connection:
                report = _take_in(ws, connection)
                return question(connection), report
        except duckdb.Error as error:
            reason = _damage(ws, error)
        _log.warning("results.duckdb could not be read; it is built again from the run folders.")
        _discard(ws, keep_as=ws.database.with_suffix(".duckdb.damaged"))
        try:
            with _opened(ws) as connection:
                report = _take_in(ws, connection)
                return question(connection), Report(report.taken_in, (), report.torn, rebuilt=reason)
        except duckdb.Error as error:
            raise EngineError(
                f"results.duckdb cannot be built: {_first_line(error)}",
                "Check free disk space, then rebuild-db.",
            ) from error


@contextmanager
def _opened(ws: Workspace) -> Iterator[Connection]:
    connection = duckdb.connect(str(ws.database))
    try:
        tables.migrate(connection)
        yield connection
    finally:
        connection.close()


def _damage(ws: Workspace, error: duckdb.Error) -> str:
    """Return the reason when the file is damaged; raise EngineError for what building anew would not mend."""
    text = _first_line(error)
    if "Could not set lock" in text:
        raise EngineError(
            "results.duckdb is open in another program.", f"Close it there and repeat. {text}"
        ) from error
    if any(sign in text for sign in ("No space left", "Permission denied", "Read-only file system")):
        raise EngineError(
            f"{ws.database} cannot be written: {text}", "Free disk space or mend the rights."
        ) from error
    if isinstance(
        error, (duckdb.ProgrammingError, duckdb.DataError, duckdb.IntegrityError, duckdb.OutOfMemoryException)
    ):
        raise error
    return text


def _discard(ws: Workspace, *, keep_as: Path | None = None) -> None:
    if keep_as is not None and ws.database.exists():
        ws.database.replace(keep_as)
    for path in (ws.database, ws.database.with_suffix(".duckdb.wal"), ws.data / _STAMP):
        path.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


# --- taking in


def _present(ws: Workspace) -> dict[str, str]:
    """The finished runs and a signature of each, from the folders alone."""
    if not ws.runs.is_dir():
        return {}
    found = {}
    for folder in ws.runs.iterdir():
        try:
            done = (folder / manifest.NAME).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        found[folder.name] = f"{done.st_mtime_ns}:{done.st_size}"
    return dict(sorted(found.items()))


def _take_in(ws: Workspace, connection: Connection) -> Report:
    present = _present(ws)
    known = dict(connection.execute("select run_id, signature from runs").fetchall())
    taken, torn = [], []
    removed = sorted(set(known) - set(present))
    for run_id in removed:
        _forget(connection, run_id)
    for run_id, signature in present.items():
        if known.get(run_id) == signature:
            continue
        try:
            _insert(connection, read_finished(ws, run_id), signature)
            taken.append(run_id)
        except TornRun as error:
            torn.append(Torn(run_id, error.message))
            if run_id in known:
                _forget(connection, run_id)
    report = Report(tuple(taken), tuple(removed), tuple(torn))
    if taken or removed:
        statistics.keep_defaults(connection, _named_variants(connection), _origins(connection))
    _write_stamp(ws, present, report)
    return report


def _insert(connection: Connection, run: Finished, signature: str) -> None:
    """Replace everything of one run in one transaction."""
    spec = run.spec
    connection.execute("begin")
    try:
        _delete(connection, spec.run_id)
        connection.execute(
            "insert into runs values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(spec.run_id, spec.experiment, spec.version, spec.seed, spec.data_hash, spec.base),
                *(_text(spec.parameters), _text(spec.upstream), spec.has_defaults),
                *(spec.created_at, run.finished_at, run.seconds, signature),
            ],
        )
        for name, fields in run.protocols.items():
            connection.execute("insert into protocols values (?, ?, ?)", [name, spec.run_id, _text(fields)])
        for entry in run.variants:
            connection.execute(
                "insert into variants values (?, ?, ?, ?, ?, ?, ?, ?)", _variant_row(spec.run_id, entry)
            )
        statistics.forget(connection, spec.run_id)
        connection.register("incoming", run.scores)
        connection.execute(tables.INSERT_SCORES, [spec.run_id])
        connection.execute(tables.INSERT_TEXTS, [spec.run_id])
        connection.unregister("incoming")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _forget(connection: Connection, run_id: str) -> None:
    connection.execute("begin")
    _delete(connection, run_id)
    connection.execute("commit")


def _delete(connection: Connection, run_id: str) -> None:
    statistics.forget(connection, run_id)
    for table in tables.TABLES:
        connection.execute(f"delete from {table} where run_id = ?", [run_id])


def _variant_row(run_id: str, entry: DeclaredVariant) -> list[Any]:
    values = asdict(entry)
    values["recipe"], values["aliases"] = _text(entry.recipe), _text(list(entry.aliases))
    return [run_id, *values.values()]


def _write_stamp(ws: Workspace, present: Mapping[str, str], report: Report) -> None:
    """Remember what is taken in, so that the next refresh need not open the database."""
    stamp = {"present": dict(present), "torn": [asdict(entry) for entry in report.torn]}
    if _read_stamp(ws) != stamp:
        write_json(ws.data / _STAMP, stamp)


def _read_stamp(ws: Workspace) -> Any:
    try:
        return json.loads((ws.data / _STAMP).read_text())
    except (OSError, ValueError):
        return None  # it only saves an opening


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


# --- reading


def _named_variants(connection: Connection) -> list[Variant]:
    answer = connection.execute(tables.VARIANTS)
    columns = [column[0] for column in answer.description]
    return name_variants(_declaration(dict(zip(columns, row, strict=True))) for row in answer.fetchall())


def _origins(connection: Connection) -> dict[str, Origin]:
    rows = connection.execute(tables.ORIGINS).fetchall()
    return {
        run_id: Origin(experiment, version, seed, data, base, json.loads(parameters), json.loads(upstream))
        for run_id, experiment, version, seed, data, base, parameters, upstream in rows
    }


def _declaration(row: dict[str, Any]) -> Declaration:
    default = bool(row.pop("has_defaults"))
    row["recipe"], row["aliases"] = json.loads(row["recipe"]), tuple(json.loads(row["aliases"]))
    return Declaration(**row, default=default)


def _with_names(ws: Workspace, query: str, values: tuple[Any, ...]) -> pd.DataFrame:
    """Run a query that may join `names` (variant_id, variant)."""

    def question(connection: Connection) -> pd.DataFrame:
        return _joined(connection, _named_variants(connection), query, values)

    return _ask(ws, question)[0]


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
