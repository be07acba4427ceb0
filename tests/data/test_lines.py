"""Bytes to JSON values: what is wrong with a line is said in words, and never raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.limits import Limits
from engine.data import lines
from engine.data.lines import parse_json, read_lines


def faults(path: Path) -> list[tuple[int, str]]:
    return [(line.number, line.fault) for line in read_lines(path) if line.fault]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"a": 1', "not valid JSON: Expecting ',' delimiter at column 8"),
        (b'{"a": "unclosed', "not valid JSON: Unterminated string starting at column 7"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": "caf\xe9"}', "not UTF-8: byte 11 of the line is 0xe9"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"a": {"b\\ud800": 1}}', "half of a surrogate pair"),
        (b'{"a": "x\\u0000"}', "NUL character"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper than 32 levels"),
        (b"[" * 200_000, "nested deeper than 32 levels"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "a number with too many digits"),
    ],
)
def test_what_is_not_json_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        parse_json(raw)
    assert words in str(caught.value)


def test_escaped_pairs_and_deep_enough_nesting_are_fine() -> None:
    assert parse_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert parse_json(b"[" * 30 + b"]" * 30)


def test_every_bad_line_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\nnot json\n\n[1]\n{"a": 2}\r\n\n\n')
    found = list(read_lines(path))
    assert [line.value for line in found] == [{"a": 1}, None, None, None, {"a": 2}]
    assert [number for number, _ in faults(path)] == [2, 3, 4]
    assert faults(path)[1:] == [(3, "an empty line between others"), (4, "must be a JSON object, is a list")]


def test_a_long_line_is_skipped_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"a": "' + b"x" * Limits().line_bytes + b'"}\n{"a": 2}\n')
    parsed: list[int] = []
    monkeypatch.setattr(lines, "parse_json", lambda raw: parsed.append(len(raw)) or {})
    found = list(read_lines(path))
    assert [(line.number, line.fault) for line in found] == [(1, "longer than 5 MB, not read"), (2, "")]
    assert parsed == [len(b'{"a": 2}\n')]


def test_a_line_of_just_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "limit.jsonl"
    path.write_bytes(b'{"a": "' + b"x" * (Limits().line_bytes - 9) + b'"}')
    assert path.stat().st_size == Limits().line_bytes
    assert faults(path) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n\n  \n", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary"),
        (b'{"a"\x00: 1}\n', "binary, or not in UTF-8"),
        ('{"a": 1}\n'.encode("utf-16")[:-1], "not in utf-16-le"),
    ],
)
def test_a_file_that_holds_no_lines_has_one_fault(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    *_, last = read_lines(path)
    assert (last.number, last.value) == (0, None)
    assert words in last.fault


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path / "none.jsonl") == [(0, "cannot be read: No such file or directory")]
