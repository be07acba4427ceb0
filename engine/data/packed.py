"""A file's bytes as plain UTF-8, however it is packed and encoded: gzip, a byte order mark, UTF-16,
Windows-1252.

Owns what is told from the first bytes. Refuses a gzip that swells beyond `limits`, and guesses no encoding
that they leave open: that one is named (`--map encoding=cp1252`).
"""

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from engine.core.errors import EngineError
from engine.core.limits import allow_more, check_time, limits, megabytes
from engine.data.folder import opened

GZIP, PARQUET, ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
ARROW = (b"ARROW1", b"\xff\xff\xff\xff")  # a file of it, and a stream, which `datasets` keeps
FOREIGN = (
    (ZIP, "a zip or an Excel workbook; save it as CSV (UTF-8), or name it .zip"),
    (b"BZh", "packed with bzip2; unpack it, or pack it as .gz"),
    (b"\xfd7zXZ", "packed with xz; unpack it, or pack it as .gz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it, or pack it as .gz"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and name the folder, or pack that as .zip"),
    (b"Rar!", "a rar archive; unpack it and name the folder, or pack that as .zip"),
    (b"SQLite format 3", "a database of SQLite; save the table you need as CSV"),
    (b"\xd0\xcf\x11\xe0", "a document of an old Office; save it as CSV (UTF-8)"),
    (b"%PDF", "a PDF; what is needed is a table or JSON"),
)
PACKED = (
    ".zip",
    ".bz2",
    ".xz",
    ".zst",
    ".7z",
    ".rar",
    ".tar",
    ".tgz",
    ".xlsx",
    ".xls",
    ".db",
    ".sqlite",
    ".pkl",
)
"""Endings of files that hold data which is not read as it is."""
OTHER_ENCODING = "a file in another encoding needs its name: --map encoding=cp1252, or utf-16-le"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PLAIN = ("utf-8", "")
_CHUNK = 1 << 20
ENDINGS = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".gz")


def stem_of(path: Path) -> str:
    """Return a file's name in small letters without the endings that say how it is written."""
    name = path.name.lower()
    while name.endswith(ENDINGS):
        name = name.rsplit(".", 1)[0]
    return name


def ending_of(path: Path) -> str:
    """Return the ending that says how a file is written, ".gz" aside: "DATA.JSONL.gz" is ".jsonl"."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextmanager
def plain(path: Path, encoding: str = "") -> Iterator[IO[bytes]]:
    """Open a file for reading as UTF-8 without a mark; `encoding` is what it is written in, where no mark
    tells.

    Raises OSError for what cannot be read, EngineError for an encoding nobody knows and a gzip that swells.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits().file_bytes:
            raise OSError(
                None, f"{megabytes(size)}, which is more than the {_most()} that are read", path.name
            )
        bytes_of: IO[bytes] = file
        if _head(file).startswith(GZIP):
            bytes_of = io.BufferedReader(_Unzipped(file, path.name, size))
        head = bytes_of.peek(4) if isinstance(bytes_of, io.BufferedReader) else _head(bytes_of)
        mark, told = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", ""))
        bytes_of.read(len(mark))
        written = told or _unmarked(head) or _known(encoding)
        yield bytes_of if written in _PLAIN else io.BufferedReader(_Recoded(bytes_of, written, path.name))


def _most() -> str:
    return megabytes(limits().file_bytes)


def _unmarked(head: bytes) -> str:
    """UTF-16 that lost its mark: each of the first two characters has a byte of its own, and a zero."""
    first, second = head[:4:2], head[1:4:2]
    if len(head) < 4 or any(first) == any(second):
        return ""
    return "utf-16-le" if any(first) else "utf-16-be"


def _head(file: IO[bytes]) -> bytes:
    found = file.read(4)
    file.seek(0)
    return found


def _known(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name if encoding else ""
        "".encode(name or "utf-8")  # some codecs are no text's
    except (LookupError, TypeError, ValueError) as error:
        raise EngineError(
            f"There is no encoding {encoding[:40]!r}.", "Write utf-8, utf-16 or cp1252: --map encoding=cp1252"
        ) from error
    return name


class _Unzipped(io.RawIOBase):
    """What a gzip holds, as far as it may swell."""

    def __init__(self, packed: IO[bytes], name: str, size: int) -> None:
        allowed = limits()
        self._file, self._name = gzip.GzipFile(fileobj=packed), name
        self._left = min(allowed.unpacked_bytes, max(allowed.free_expansion_bytes, size * allowed.expansion))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        check_time()
        try:
            found = self._file.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise OSError(None, f"a damaged gzip: {error}", self._name) from error
        self._left -= len(found)
        if self._left < 0:
            raise EngineError(
                f"{self._name} was refused: it expands to more than {limits().expansion} times its size or"
                f" {megabytes(limits().unpacked_bytes)}.",
                "Unpack it yourself if you trust it, then name the file; or allow more: "
                + allow_more("unpacked_bytes"),
            )
        buffer[: len(found)] = found
        return len(found)


class _Recoded(io.RawIOBase):
    """The UTF-8 of a text in another encoding."""

    def __init__(self, file: IO[bytes], encoding: str, name: str) -> None:
        self._file, self._name, self._encoding = file, name, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._held, self._done = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held and not self._done:
            check_time()
            raw = self._file.read(_CHUNK)
            self._done = not raw
            try:
                self._held = self._decoder.decode(raw, final=self._done).encode("utf-8")
            except UnicodeError as error:
                raise OSError(
                    None,
                    f"not in {self._encoding}: {error.reason}"
                    if isinstance(error, UnicodeDecodeError)
                    else f"not in {self._encoding}",
                    self._name,
                ) from error
        part, self._held = self._held[: len(buffer)], self._held[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
