"""Reading JSON files that may be anything: truncated, binary, in another encoding, far too long.

Owns the step from bytes to JSON values, one line at a time. Refuses to raise on bad content: what is
wrong with a line travels with it as a fault, so that a reader can list every fault of a file.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.core.errors import Fault
from engine.core.limits import check_time, limits, megabytes
from engine.data.packed import OTHER_ENCODING, plain


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a JSON-lines file: the object it holds, or the fault that keeps it from being read.

    `number` is 1-based; 0 marks a fault of the whole file, after which no line follows.
    """

    number: int
    value: dict[str, Any] | None = None
    fault: str = ""


class _NotJson(ValueError):
    """A value that Python's parser takes and JSON does not have."""


def read_lines(path: Path, encoding: str = "") -> Iterator[Line]:
    """Yield every line of `path`; blank lines at the end are ignored, blank lines between are faults.

    It may be packed (gzip), and in the encoding that its first bytes tell, or `encoding`. A line longer than
    `limits` allow is skipped without being held in memory; a file with too many lines, or too large, is not
    read on. Raises nothing but EngineError when its time is up.
    """
    try:
        with plain(path, encoding) as file:
            yield from _lines_of(file)
    except OSError as error:
        yield Line(0, fault=unread(error))


def unread(error: OSError) -> str:
    """Return what kept a file from being read, in words."""
    return f"cannot be read: {error.strerror or error}" if error.errno else str(error.strerror or error)


def _lines_of(file: IO[bytes]) -> Iterator[Line]:
    number = blanks = 0
    longest, most = limits().line_bytes, limits().lines
    while raw := file.readline(longest + 1):
        number += 1
        check_time()
        if number > most:
            yield Line(0, fault=f"more than {most:,} lines")
            return
        if b"\x00" in raw:
            yield Line(0, fault=f"binary, or not in UTF-8: line {number} holds NUL bytes; {OTHER_ENCODING}")
            return
        too_long = len(raw) > longest and not raw.endswith(b"\n")
        if too_long:
            _skip_rest_of_line(file)
        elif not raw.strip():
            blanks += 1
            continue
        for blank in range(number - blanks, number):
            yield Line(blank, fault="an empty line between others")
        blanks = 0
        if too_long:
            yield Line(number, fault=f"longer than {megabytes(longest)}, not read")
        else:
            yield object_of(number, raw)
    if number == blanks:
        yield Line(0, fault="the file is empty")


def _skip_rest_of_line(file: IO[bytes]) -> None:
    while chunk := file.readline(1 << 20):
        if chunk.endswith(b"\n"):
            return


def object_of(number: int, raw: bytes) -> Line:
    """Return the row that `raw` is the JSON of; a comma behind it, as between elements of a list, is none."""
    text = raw.strip()
    try:
        value = parse_json(text[:-1] if text.endswith(b"},") else raw)
    except ValueError as error:
        spread = "; a row stands in one line, and this begins one of several" if text in (b"{", b"[") else ""
        return Line(number, fault=f"{error}{spread}")
    if not isinstance(value, dict):
        return Line(number, fault=f"must be a JSON object, is {kind_of(value)}")
    return Line(number, value)


def parse_json(raw: bytes) -> Any:
    """Return the JSON value of `raw`. Raises ValueError, worded for a fault, for all that is not JSON.

    Stricter than Python: no NaN or Infinity (not even as 1e999), no NUL and no lone surrogate in any
    text (neither can be written as UTF-8 text again), no nesting beyond what `limits` allow.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"not UTF-8: byte {error.start + 1} of the line is 0x{raw[error.start]:02x}"
        ) from error
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except _NotJson:
        raise
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise ValueError(f"not valid JSON: {error.msg.removesuffix(' at')} at {where}") from error
    except RecursionError as error:
        raise ValueError(f"nested deeper than {limits().nesting} levels") from error
    except ValueError as error:
        raise ValueError("not valid JSON: a number with too many digits") from error
    refuse_unwritable(value, escapes="\\u" in text)
    return value


def _refuse_constant(name: str) -> float:
    raise _NotJson(f"not valid JSON: {name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NotJson(f"not valid JSON: {digits[:20]} is too large for a number")
    return number


def refuse_unwritable(value: Any, *, escapes: bool) -> None:
    """Raise ValueError for nesting beyond what is taken, and with `escapes` for text that cannot be written.

    Walks `value` level by level (no recursion: the input chooses the depth).
    """
    level: list[Any] = [value]
    for _ in range(limits().nesting + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
                below.extend(item.keys() if escapes else ())
            elif isinstance(item, list):
                below.extend(item)
            elif escapes and isinstance(item, str):
                _refuse_text(item)
        if not below:
            return
        level = below
    raise ValueError(f"nested deeper than {limits().nesting} levels")


def _refuse_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("a text holds a NUL character (\\u0000)")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a text holds half of a surrogate pair, which is no character")


def kind_of(value: Any) -> str:
    """Return what a JSON value is, in words: "a list", "text", "null" ..."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true/false"
    kinds = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds[type(value)]


def absent_or_kind(value: Any) -> str:
    """Return what a JSON value is, in words; null counts as missing."""
    return "missing" if value is None else kind_of(value)


def read_document(path: Path) -> tuple[Any, Fault | None]:
    """Return the one JSON value of a whole file and None, or None and the fault that kept it unread.

    It may be packed and encoded as files of lines may.
    """
    most = limits().document_bytes
    try:
        with plain(path) as file:
            raw = file.read(most + 1)
    except OSError as error:
        return None, Fault(path.name, 0, unread(error))
    if len(raw) > most:
        return None, Fault(path.name, 0, f"larger than {megabytes(most)}, not read")
    try:
        return parse_json(raw), None
    except ValueError as error:
        return None, Fault(path.name, 0, str(error))
