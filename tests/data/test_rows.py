"""The rows of a file: an array is read an element at a time, and one bad element costs no other."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.core.limits import SETTING
from engine.data.rows import read_rows
from tools.layouts import parquet

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_ROWS = st.lists(st.dictionaries(st.text(max_size=5), _JSON, max_size=4), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, indent=st.none() | st.integers(0, 3), ascii_only=st.booleans(), size=st.integers(1, 40))
def test_an_array_is_what_json_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Any, indent: Any, ascii_only: bool, size: int
) -> None:
    """However it is written, and wherever the pieces end in which it is read."""
    monkeypatch.setattr("engine.data.rows._PIECE", size)
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    found = list(read_rows(path))
    faulty = ["\\u0000" in text or "\x00" in json.dumps(row, ensure_ascii=False) for row in rows]
    if not any(faulty):
        assert [line.value for line in found] == rows
    assert [line.number for line in found] == list(range(1, len(rows) + 1))


def test_one_bad_element_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "line_bytes=100")
    path = tmp_path / "rows.json"
    path.write_text(
        '[{"a": 1}, {"a": NaN}, 7, {"a": "%s"}, {"a": "]},{\\\\"}, {"a" 1}, {"a": 2}]' % ("x" * 200)
    )
    found = list(read_rows(path))
    assert [line.value for line in found] == [{"a": 1}, None, None, None, {"a": "]},{\\"}, None, {"a": 2}]
    assert [line.number for line in found] == [1, 2, 3, 4, 5, 6, 7]
    assert "NaN" in found[1].fault
    assert found[2].fault == "must be a JSON object, is a number"
    assert found[3].fault == "longer than 100 bytes, not read"


def test_a_gzip_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "free_expansion_bytes=1000 expansion=2 line_bytes=100000000")
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * 1_000_000 + b'"}\n'))
    with pytest.raises(EngineError, match="expands to more than 2 times its size") as caught:
        list(read_rows(path))
    assert SETTING in caught.value.hint


def test_parquet_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(parquet([{"a": "x" * 1_000} for _ in range(1_000)]))
    assert path.stat().st_size < 100_000
    monkeypatch.setenv(SETTING, "unpacked_bytes=100000")
    with pytest.raises(EngineError, match="unpacks to more than 100,000 bytes"):
        list(read_rows(path))
