"""Opening results.duckdb: for a moment, under a lock, in one mode; damage is mended by rebuilding.

The only module that opens the file. Nobody sees a database error: what cannot be mended is an EngineError.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from engine.core.errors import EngineError, first_line
from engine.core.locks import locked
from engine.core.machine import refuse_if_read_only
from engine.core.paths import Workspace
from engine.core.stamps import Stamp, stamp
from engine.results.store import tables
from engine.results.store.filling import Connection, Report, take_in
from engine.results.store.place import place
from engine.runs.runfolder import now

Answer = TypeVar("Answer")

_log = logging.getLogger("engine.results.store")
_ours: dict[Path, Stamp] = {}  # as they were when they were found to be of today's form
DAMAGED = ".duckdb.damaged"
"""How the name of a database ends that could not be read and was put aside."""
_INTERRUPTED = ("Query interrupted", "KeyboardInterrupt")
_UNWRITABLE = ("No space left", "Permission denied", "Read-only file system", "Disk quota exceeded")


def lock(ws: Workspace) -> AbstractContextManager[None]:
    return locked(place(ws).lock, what="The results database", timeout_seconds=120.0)


def ask(ws: Workspace, question: Callable[[Connection], Answer]) -> tuple[Answer, Report]:
    """Bring the database up to date, put a question to it, close it; a damaged one is built anew, once."""
    ws.read_config()
    with lock(ws):
        try:
            with opened(ws) as connection:
                report = take_in(ws, connection)
                return question(connection), report
        except duckdb.Error as error:
            _refuse_what_stays(ws, error)
        if place(ws).database == ws.database:  # and not a copy, for whoever only looks
            _log.warning("results.duckdb could not be read; it is built again from the run folders.")
        discard(ws, keep_as=place(ws).database.with_suffix(DAMAGED))
        return _ask_anew(ws, question)


def rebuild(ws: Workspace) -> Report:
    """Build the database anew from the run folders. Raises EngineError when it cannot be written."""
    refuse_if_read_only(ws, "rebuild the results")
    other = unreadable(ws) is not None
    with lock(ws):
        discard(ws, keep_as=ws.database.with_suffix(DAMAGED) if other else None)
        return _ask_anew(ws, lambda _: None)[1]


def _ask_anew(ws: Workspace, question: Callable[[Connection], Answer]) -> tuple[Answer, Report]:
    try:
        with opened(ws) as connection:
            report = take_in(ws, connection)
            return question(connection), report
    except duckdb.Error as error:
        raise EngineError(
            f"results.duckdb cannot be built: {first_line(error)}", "Check free disk space, then rebuild-db."
        ) from error


def unreadable(ws: Workspace) -> str | None:
    """Return why the database cannot be read, None when it can or does not exist yet. Mends nothing."""
    database = place(ws).database
    if not database.exists():
        return None
    with lock(ws):
        try:
            connection = _connect(database)
            try:
                return other_form(connection)
            finally:
                connection.close()
        except (duckdb.Error, OSError) as error:
            return first_line(error)


def other_form(connection: Connection) -> str | None:
    """Return what tells a database that opens from those made here, now or earlier; None for these."""
    held = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
    if not held:
        return None
    if "migrations" not in held:
        return f"it is another program's (it holds {', '.join(sorted(held)[:3])})"
    if later := _forms(connection) - tables.EARLIER_FORMS - {tables.FORM}:
        return f"a later version made it ({', '.join(sorted(later)[:3])})"
    missing = sorted(tables.TABLES - held) if tables.FORM in _forms(connection) else []
    return f"it lacks {', '.join(missing)}" if missing else None


def _forms(connection: Connection) -> set[str]:
    """The forms that a database had; none of a new one."""
    if not connection.execute("from duckdb_tables() where table_name = 'migrations'").fetchall():
        return set()
    return {name for (name,) in connection.execute("select name from migrations").fetchall()}


def _connect(path: Path) -> Connection:
    """Open a database file. What is defined in it, a view say, reads no other file and loads no extension."""
    return duckdb.connect(str(path), config={"enable_external_access": "false"})


@contextmanager
def opened(ws: Workspace) -> Iterator[Connection]:
    """Open the database for a block; one of an earlier form is made anew, for the run folders to fill."""
    path = place(ws).database
    seen = stamp(path)
    connection = _connect(path)
    try:
        if seen is None or _ours.get(path) != seen:
            if reason := other_form(connection):
                raise EngineError(
                    f"{ws.database} cannot be used: {reason}.",
                    "Build it again, and keep this one beside it: python -m engine rebuild-db",
                )
            if tables.FORM not in _forms(connection):
                connection.close()
                discard(ws)
                connection = _connect(path)
                connection.execute(f"begin; {tables.CREATE}")
                connection.execute("insert into migrations values (?, ?)", [tables.FORM, now()])
                connection.execute("commit")
            elif seen is not None:
                _ours[path] = seen
        yield connection
    except Exception as error:
        if _was_interrupted(error):
            raise KeyboardInterrupt from error
        raise
    finally:
        connection.close()


def _was_interrupted(error: BaseException | None) -> bool:
    """Say whether it is what DuckDB makes of Ctrl-C, or came of that: no sign of a damaged file."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or any(word in str(error) for word in _INTERRUPTED):
            return True
        error = error.__context__
    return False


def _refuse_what_stays(ws: Workspace, error: duckdb.Error) -> None:
    """Raise EngineError for what building anew would not mend; do nothing where the file is damaged."""
    text = first_line(error)
    if "Could not set lock" in text:
        raise EngineError(
            "results.duckdb is open in another program.", f"Close it there and repeat. {text}"
        ) from error
    if any(sign in text for sign in _UNWRITABLE):
        raise EngineError(
            f"{place(ws).database} cannot be written: {text}", "Free disk space or mend the rights."
        ) from error
    if isinstance(error, duckdb.OutOfMemoryException):
        raise EngineError(
            f"There is not enough memory for results.duckdb: {text}", "End other programs and repeat."
        ) from error
    if isinstance(error, (duckdb.ProgrammingError, duckdb.DataError, duckdb.IntegrityError)):
        raise EngineError(
            f"results.duckdb does not hold what it should: {text}",
            "Build it anew from the run folders: python -m engine rebuild-db",
        ) from error


def discard(ws: Workspace, *, keep_as: Path | None = None) -> None:
    there = place(ws)
    if keep_as is not None and there.database.exists():
        there.database.replace(keep_as)
    for path in (there.database, there.database.with_suffix(".duckdb.wal"), there.stamp):
        path.unlink(missing_ok=True)
