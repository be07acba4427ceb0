"""The rows of a file, whatever it is: JSON lines, one JSON array, a JSON object, CSV or TSV, parquet,
arrow.

Owns how the kind is told (by content, the ending only where that leaves it open) and that every row becomes a
`Line`: an object with its number, or the fault that kept it from being read. In files of lines the number is
the line, elsewhere the row, from 1. Raises nothing for bad content.
"""

import csv
import datetime
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from engine.core.errors import EngineError
from engine.core.limits import allow_more, check_time, limits, megabytes
from engine.data.folder import opened
from engine.data.lines import Line, kind_of, object_of, parse_json, read_lines, refuse_unwritable, unread
from engine.data.packed import ARROW, FOREIGN, OTHER_ENCODING, PARQUET, ending_of, plain

_DELIMITERS = ",;\t|"
_JSON = (".jsonl", ".ndjson", ".json")
_OLD_LINE = re.compile(r"[^\r]*\r|[^\r]+")
_LINES_TOLD_BY = 50
_EXCEL = re.compile(r'"?sep=([,;\t|])"?')  # what Excel puts before a table, where it is asked to
_QUOTED = re.compile(r'"[^"]*"')
_SPACE = b" \t\r\n"
_LOOKED_AT = 1 << 16
_BATCH_ROWS = 64
_PIECE = 1 << 18
# What divides JSON: brackets, and commas where these part two elements. A text that ends in what is at hand
# is passed as a whole.
_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_MARK = re.compile(_TEXT + rb'|["\[\]{},]', re.DOTALL)
_DEEPER = re.compile(_TEXT + rb'|["\[\]{}]', re.DOTALL)
_WITHIN_TEXT = re.compile(rb'["\\]')


def read_rows(path: Path, encoding: str = "") -> Iterator[Line]:
    """Yield every row of a file. Raises EngineError when its time is up, or it swells beyond what is
    taken.
    """
    try:
        with opened(path) as file:
            head = file.read(16)
        if head.startswith((PARQUET, *ARROW)):
            yield from _column_rows(path, head)
            return
        if (foreign := _foreign(head)) is not None:
            yield Line(0, fault=foreign)
            return
        with plain(path, encoding) as file:
            kind = _kind(path, file)
        if kind not in ("lines", "array", "document", "table"):
            yield Line(0, fault=kind)
            return
        if kind == "lines":
            yield from read_lines(path, encoding)
            return
        with plain(path, encoding) as file:
            yield from {"array": _items, "document": _document, "table": _table}[kind](file)
    except OSError as error:
        yield Line(0, fault=unread(error))


def _kind(path: Path, file: IO[bytes]) -> str:
    """Tell what a file is by its start: "lines", "array", "document", "table" (of text); else what is wrong
    with it.
    """
    start = file.read(_LOOKED_AT)
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it and name the folder, or pack that as .zip"
    if start.startswith((PARQUET, *ARROW)):
        return "packed once more, as .gz; unpack it"
    if (foreign := _foreign(start)) is not None:
        return f"within a .gz {foreign}"
    text = start.lstrip(_SPACE)
    if ending_of(path) in (".csv", ".tsv") and not text.startswith(b"{"):
        return "table"
    if not text.startswith((b"[", b"{")):
        is_table = ending_of(path) not in _JSON and any(one in text[:200] for one in _DELIMITERS.encode())
        return "table" if is_table else "lines"
    line, newline, rest = text.partition(b"\n")
    if not newline:
        line += file.readline(limits().line_bytes)
    ends = not rest.strip() and not file.read(_LOOKED_AT).strip()
    if text.startswith(b"["):
        return "lines" if ending_of(path) == ".jsonl" and not ends and _is_json(line) else "array"
    if ending_of(path) == ".jsonl":
        return "lines"
    return "document" if not _is_json(line) or (ends and ending_of(path) == ".json") else "lines"


def _foreign(head: bytes) -> str | None:
    """What a file is by its first bytes, where it is nothing that is read, and what to do."""
    return next((what for mark, what in FOREIGN if head.startswith(mark)), None)


def _is_json(line: bytes) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


# --- one JSON array


def _items(file: IO[bytes]) -> Iterator[Line]:
    """Yield the elements of one array, without holding more than one of them."""
    number = 0
    for raw in _elements(file):
        check_time()
        number += 1
        if number > limits().lines:
            yield _too_many()
            return
        if raw is None:
            yield Line(number, fault=f"longer than {megabytes(limits().line_bytes)}, not read")
        elif not raw:
            yield Line(0, fault=f"not valid JSON: the array is not closed after row {number - 1}")
        else:
            yield object_of(number, raw)
    if not number:
        yield Line(0, fault="the list is empty")


def _elements(file: IO[bytes]) -> Iterator[bytes | None]:
    """Yield the text of each element of an array; None for one that is too long, b"" where the end is
    lost.
    """
    most = limits().line_bytes
    held, too_long, depth, in_text, escaped = bytearray(), False, 0, False, False
    while chunk := file.read(_PIECE):
        place = 0
        while place < len(chunk):
            if escaped:
                found_end, mark, escaped = place + 1, b"", False
            else:
                looked_for = _WITHIN_TEXT if in_text else _MARK if depth < 2 else _DEEPER
                found = looked_for.search(chunk, place)
                found_end, mark = (found.end(), found[0]) if found else (len(chunk), b"")
            part = chunk[place:found_end]
            place = found_end
            if mark == b"\\":
                escaped = True
            elif mark == b'"':
                in_text = not in_text
            elif mark in (b"[", b"{"):
                depth += 1
                if depth == 1:
                    held.clear()
                    continue
            elif mark in (b"]", b"}"):
                depth -= 1
            if depth == 0 or (depth == 1 and mark == b","):
                held += part[:-1]
                if held.strip() or too_long:
                    yield None if too_long else bytes(held)
                held.clear()
                too_long = False
                if depth == 0:
                    return
                continue
            if not too_long:
                held += part
                too_long = len(held) > most
                if too_long:
                    held.clear()
    yield b""


# --- one JSON object


def _document(file: IO[bytes]) -> Iterator[Line]:
    """Yield the rows of an object: those of its one list of objects, those it names by their keys, or
    itself.
    """
    most = limits().document_bytes
    raw = file.read(most + 1)
    if len(raw) > most:
        yield Line(0, fault=f"larger than {megabytes(most)}, not read")
        return
    line = object_of(0, raw)
    if line.value is None:
        yield line
        return
    value = line.value
    lists = [held for held in value.values() if isinstance(held, list) and any(map(_is_object, held))]
    told = any(value.get(name) is lists[0] for name in ("data", "rows")) if lists else False
    if len(lists) == 1 and (told or not any(isinstance(held, dict) for held in value.values())):
        yield from _numbered(lists[0])
    elif len(lists) == len(value) > 1 and all(_is_object(one) for held in lists for one in held):
        yield from _numbered([{"_key": key, **one} for key, held in value.items() for one in held])
    elif len(value) > 1 and all(isinstance(held, dict) for held in value.values()):
        yield from _numbered([{"_key": key, **held} for key, held in value.items()])
    else:
        yield Line(1, value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _numbered(values: Iterable[Any]) -> Iterator[Line]:
    for number, value in enumerate(values, 1):
        known = isinstance(value, dict)
        yield Line(number, value) if known else Line(number, fault=f"must be an object, is {kind_of(value)}")


# --- tables


def _table(file: IO[bytes]) -> Iterator[Line]:
    """Yield the rows of a CSV or TSV file whose first line names the columns."""
    csv.field_size_limit(limits().line_bytes)
    lines = _text_lines(file)
    first, before = next(lines, ""), 0
    delimiter = ""
    if told := _EXCEL.fullmatch(first.strip("\r\n")):
        first, before, delimiter = next(lines, ""), 1, told[1]
    if "\x00" in first:
        yield Line(0, fault=f"binary, or not in UTF-8; {OTHER_ENCODING}")
        return
    if not first.strip():
        yield Line(0, fault="the file is empty" if not first else "the first line names no column")
        return
    head = [first, *islice(lines, _LINES_TOLD_BY)]
    ended: list[bool] = []
    reader = csv.reader(_noting_the_end(chain(head, lines), ended), delimiter=delimiter or _delimiter(head))
    columns: list[str] = []
    number = 0
    while True:
        begins = before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Line(before + reader.line_num, fault=f"not valid CSV: {error}")
            return
        if cells is None:
            break
        if ended:  # within a row: the reader asks for another line only where a quote is open
            yield Line(begins, fault="a quote that opens in this row is never closed")
            return
        if not columns:
            columns = [name.strip() for name in cells]
            if wrong := _wrong_header(columns):
                yield Line(0, fault=wrong)
                return
            continue
        if not any(cell.strip() for cell in cells):
            continue
        number += 1
        if number > limits().lines:
            yield _too_many()
            return
        yield _cells(before + reader.line_num, columns, cells)
    if not number:
        yield Line(0, fault="the file is empty" if not columns else "no row below the names of the columns")


def _noting_the_end(lines: Iterable[str], ended: list[bool]) -> Iterator[str]:
    yield from lines
    ended.append(True)


def _delimiter(head: Sequence[str]) -> str:
    """What parts all the first rows into as many cells as there are columns; of such, and where there is
    none, what stands most often between the columns' names. What is in quotes parts nothing.
    """
    outside = _QUOTED.sub("", head[0])

    def fitness(delimiter: str) -> tuple[bool, int]:
        try:
            rows = [cells for cells in csv.reader(head, delimiter=delimiter) if cells]
        except csv.Error:
            rows = []
        whole = rows[:-1] if len(head) > _LINES_TOLD_BY else rows  # the last may go on
        times = outside.count(delimiter)
        return bool(times and whole) and {len(cells) for cells in whole} == {len(whole[0])}, times

    return max(_DELIMITERS, key=fitness)


def _text_lines(file: IO[bytes]) -> Iterator[str]:
    """Yield lines of text; a byte that is no UTF-8 stays as half a character, which `_cells` refuses.

    A file whose lines end as on old Macs (Excel's "CSV (Macintosh)") is one line to others.
    """
    longest = limits().line_bytes
    while raw := file.readline(longest + 1):
        check_time()
        if len(raw) > longest:
            raise OSError(None, f"a line is longer than {megabytes(longest)}")
        text = raw.decode("utf-8", errors="surrogateescape")
        yield from (text,) if text.endswith("\n") else _OLD_LINE.findall(text)


def _too_many() -> Line:
    return Line(0, fault=f"more than {limits().lines:,} rows")


def _wrong_header(columns: list[str]) -> str:
    named = [name for name in columns if name]
    if any("\x00" in name or any("\ud800" <= sign <= "\udfff" for sign in name) for name in named):
        return f"binary, or not in UTF-8; {OTHER_ENCODING}"
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        return f"several columns are named {twice[0][:40]!r}"
    return "" if named else "the first line names no column"


def _cells(number: int, columns: list[str], cells: list[str]) -> Line:
    if len(cells) > len(columns):
        return Line(number, fault=f"{len(cells)} cells, but {len(columns)} columns are named")
    value = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
    for name, cell in value.items():
        try:
            refuse_unwritable(cell, escapes=True)
        except ValueError as error:
            why = str(error) if "\x00" in cell else "not UTF-8 (another encoding: --map encoding=cp1252)"
            return Line(number, fault=f"{name[:40]}: {why}")
    return Line(number, value)


# --- parquet and arrow


def _column_rows(path: Path, head: bytes) -> Iterator[Line]:
    import pyarrow as arrow

    form = "parquet" if head.startswith(PARQUET) else "arrow"
    try:
        with opened(path) as file:
            number, taken = 0, 0
            for batch in _batches(file, head):
                check_time()
                taken += batch.nbytes
                _refuse_swelling(path, taken)
                if number + batch.num_rows > limits().lines:
                    yield _too_many()
                    return
                for value in batch.to_pylist():
                    number += 1
                    yield _column_row(number, value)
    except (arrow.ArrowException, ValueError, KeyError, OverflowError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and (error.errno or error.strerror):
            raise  # the file's, not its content's
        yield Line(0, fault=f"not {form} that can be read: {' '.join(str(error).split())[:200]}")
        return
    if not number:
        yield Line(0, fault="the file holds no row")


def _batches(file: IO[bytes], head: bytes) -> Iterator[Any]:
    """Yield the record batches of a file, small ones."""
    if head.startswith(PARQUET):
        import pyarrow.parquet as parquet

        yield from parquet.ParquetFile(file).iter_batches(batch_size=_BATCH_ROWS)
        return
    from pyarrow import ipc

    if head.startswith(ARROW[0]):
        held = ipc.open_file(file)
        found = (held.get_batch(place) for place in range(held.num_record_batches))
    else:
        found = iter(ipc.open_stream(file))
    for batch in found:
        batch.validate(full=True)  # arrow believes its files: offsets that lead out would end the process
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            yield batch.slice(start, _BATCH_ROWS)


def _refuse_swelling(path: Path, taken: int) -> None:
    if taken > limits().unpacked_bytes:
        raise EngineError(
            f"{path.name} was refused: it unpacks to more than {megabytes(limits().unpacked_bytes)}.",
            f"Give the part you need, or allow more: {allow_more('unpacked_bytes')}",
        )


def _column_row(number: int, value: dict[str, Any]) -> Line:
    try:
        made = _as_json(value)
        refuse_unwritable(made, escapes=True)
    except ValueError as error:
        return Line(number, fault=str(error))
    return Line(number, made)


def _as_json(value: Any) -> Any:
    """Return a value as JSON would hold it; None for what JSON has no place for (a picture, a span of time),
    which no part of a mapping can be.
    """
    if isinstance(value, dict):
        return {str(key): _as_json(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(held) for held in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):  # text, of writers that mark none as such
        try:
            return value.decode("utf-8") if b"\x00" not in value else None
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str | int | float | bool) else None
