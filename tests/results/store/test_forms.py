"""Every form that results.duckdb ever had opens, and what is not ours or not readable is told."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results import store
from engine.results.store import tables
from tests.workspaces import finish

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture
def ws(ws: Workspace) -> Workspace:
    finish(ws, "gain")
    return ws


def written(ws: Workspace, script: str) -> None:
    ws.database.unlink(missing_ok=True)
    connection = duckdb.connect(str(ws.database))
    connection.execute(script)
    connection.close()


def changed(ws: Workspace, query: str) -> None:
    connection = duckdb.connect(str(ws.database))
    connection.execute(query)
    connection.close()


def held(ws: Workspace, query: str) -> list[tuple[object, ...]]:
    connection = duckdb.connect(str(ws.database))
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


@pytest.mark.parametrize("form", [path.stem for path in sorted(SCHEMAS.glob("*.sql"))])
def test_a_database_of_every_earlier_form_is_brought_to_todays(ws: Workspace, form: str) -> None:
    expected = store.score_table(ws, metric="device_f1", split="test")
    assert expected["value"].isna().any()
    written(ws, (SCHEMAS / f"{form}.sql").read_text())
    store.refresh(ws)
    pd.testing.assert_frame_equal(store.score_table(ws, metric="device_f1", split="test"), expected)
    assert {one.variant for one in store.variants(ws)} == {"gain", "count"}
    assert held(ws, "select name from migrations") == [(tables.FORM,)]
    there = held(ws, "select table_name from duckdb_tables()")
    assert {name for (name,) in there} == tables.TABLES


def test_a_database_of_a_later_version_is_refused_and_left_as_it_is(ws: Workspace) -> None:
    store.refresh(ws)
    changed(ws, "insert into migrations values ('m999_of_the_future', 'later')")
    with pytest.raises(EngineError, match="a later version made it") as refused:
        store.variants(ws)
    assert "rebuild-db" in str(refused.value.hint)
    assert held(ws, "select count(*) from migrations where name = 'm999_of_the_future'") == [(1,)]
    store.rebuild(ws)
    assert {one.variant for one in store.variants(ws)} == {"gain", "count"}


def test_a_database_of_another_program_is_never_written_and_kept_by_a_rebuild(ws: Workspace) -> None:
    store.refresh(ws)
    written(ws, "create table invoices (number integer)")
    with pytest.raises(EngineError, match="another program's .it holds invoices"):
        store.variants(ws)
    assert held(ws, "select table_name from duckdb_tables()") == [("invoices",)]
    store.rebuild(ws)
    aside = duckdb.connect(str(ws.database.with_suffix(".duckdb.damaged")))
    assert aside.execute("select table_name from duckdb_tables()").fetchall() == [("invoices",)]
    aside.close()
    assert {one.variant for one in store.variants(ws)} == {"gain", "count"}


@pytest.mark.parametrize("table", sorted(tables.TABLES - {"migrations"}))
def test_a_table_that_somebody_dropped_is_told_with_the_remedy(ws: Workspace, table: str) -> None:
    store.refresh(ws)
    changed(ws, f"drop table {table}")
    with pytest.raises(EngineError, match=f"lacks {table}") as refused:
        store.score_table(ws, metric="device_f1", split="test")
    assert "rebuild-db" in str(refused.value.hint)
    store.rebuild(ws)
    assert not store.score_table(ws, metric="device_f1", split="test").empty


def test_a_table_that_somebody_changed_is_told_with_the_remedy(ws: Workspace) -> None:
    store.refresh(ws)
    changed(ws, "alter table scores drop column value")
    with pytest.raises(EngineError, match="does not hold what it should") as refused:
        store.score_table(ws, metric="device_f1", split="test")
    assert "rebuild-db" in str(refused.value.hint)
    store.rebuild(ws)
    assert not store.score_table(ws, metric="device_f1", split="test").empty


@pytest.mark.skipif(not Path("/dev/full").exists() or os.geteuid() != 0, reason="needs a full device")
def test_a_full_disk_is_an_error_with_its_remedy(ws: Workspace, tmp_path: Path) -> None:
    ws.database.unlink(missing_ok=True)
    ws.database.symlink_to("/dev/full")
    with pytest.raises(EngineError):
        store.variants(ws)
