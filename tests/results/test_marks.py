"""Marks: on what was said, the last one counts, taken back, kept outside the database, exported safely."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results import marks, store
from engine.show import tables
from tests.workspaces import make_workspace

SAID = ("p/1#1", "=Dimmed.")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def put(ws: Workspace, mark: str, note: str = "", said: marks.Said = SAID) -> marks.Mark:
    return marks.put(
        ws, said, mark, note=note, persona_id="p", right_reply="Dimming.", variants=("base", "x")
    )


def test_the_last_mark_on_a_reply_counts_and_an_empty_one_takes_it_back(ws: Workspace) -> None:
    put(ws, "wrong")
    other = put(ws, "interesting", said=("p/1#1", "Off."))
    last = put(ws, "right", "as she says it")
    assert marks.read(ws) == {other.said: other, SAID: last}
    store.rebuild(ws)
    assert len(marks.read(ws)) == 2
    put(ws, "")
    assert list(marks.read(ws)) == [other.said]
    assert len(marks.path(ws).read_text().splitlines()) == 4


def test_a_line_of_another_form_is_left_out(ws: Workspace) -> None:
    kept = put(ws, "", "only a note")
    with marks.path(ws).open("a") as file:
        file.write('{"mark": "right"}\n["right"]\n{"torn')
    assert marks.read(ws) == {SAID: kept}


def test_what_there_is_no_mark_of_is_refused(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="no mark 'good'"):
        put(ws, "good")
    with pytest.raises(EngineError, match="at most 2,000"):
        put(ws, "right", "x" * 2001)
    assert marks.read(ws) == {}


def test_the_table_holds_every_mark_and_no_formula(ws: Workspace) -> None:
    put(ws, "right", "a, b")
    (row,) = csv.DictReader(io.StringIO(tables.written(tables.mark_table(ws), "csv").decode()))
    assert (row["reply"], row["mark"], row["note"], row["variants"]) == (
        "'=Dimmed.",
        "right",
        "a, b",
        "base x",
    )
