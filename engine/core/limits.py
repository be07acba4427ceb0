"""How much any door takes: sizes, counts, depths and seconds, in one record for all of them.

Owns the numbers and the clock of an import. Every refusal names the number and what to do; who runs the
machine allows more with PERSONA_LAB_LIMITS ("seconds=3600 files=5000"), a user of the app cannot.
"""

import functools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace

from engine.core.errors import EngineError, unknown_name

SETTING = "PERSONA_LAB_LIMITS"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken at most. Bytes are bytes as they lie on disk, unless a line says otherwise."""

    upload_bytes: int = 200_000_000  # all files of an upload; .streamlit/config.toml: server.maxUploadSize
    files: int = 2_000  # in an upload, an archive, or of a study's folder
    entries: int = 20_000  # looked at in a folder, of whatever kind
    depth: int = 10  # folders within folders
    name_bytes: int = 200  # of a file's or folder's name
    unpacked_bytes: int = 1_000_000_000  # of an archive
    expansion: int = 200  # times an archive's own size, beyond free_expansion_bytes
    free_expansion_bytes: int = 20_000_000  # repetitive text packs well, and this is little
    file_bytes: int = 2_000_000_000  # of a file that is read line by line
    document_bytes: int = 50_000_000  # of a JSON or CSV file that is read whole
    line_bytes: int = 5_000_000
    lines: int = 2_000_000  # of a file
    nesting: int = 32  # of lists and objects in JSON
    faults: int = 10_000  # after so many, reading ends
    hub_bytes: int = 2_000_000_000  # downloaded for one dataset
    tree_characters: int = 100_000  # of a decision tree's text
    reply_bytes: int = 2_000_000  # of a remote model's answer
    reply_seconds: int = 600  # until it is there, tries included
    seconds: int = 900  # of reading or unpacking


def limits() -> Limits:
    """Return the limits in force. Raises EngineError for a setting that cannot be read."""
    return _read(os.environ.get(SETTING, ""))


@functools.lru_cache(maxsize=8)
def _read(text: str) -> Limits:
    names = [field.name for field in fields(Limits)]
    changed: dict[str, int] = {}
    for entry in text.replace(",", " ").split():
        name, _, number = entry.partition("=")
        if name not in names:
            raise unknown_name(f"limit (in {SETTING})", name, names)
        if not (number.isascii() and number.isdigit() and int(number[:20]) > 0):
            raise EngineError(
                f"{SETTING}: {entry!r} is no limit.", f"Write a whole number above 0: {name}=1000."
            )
        changed[name] = int(number[:20])
    return replace(Limits(), **changed)


def allow_more(name: str, wanted: int | None = None) -> str:
    """Return the words for who runs the machine and wants to take more than the limit `name`."""
    return f"{SETTING}={name}={wanted or 2 * int(getattr(limits(), name))}"


def megabytes(size: int) -> str:
    """Return a size in words: "200 MB"; below a megabyte, in bytes."""
    return f"{size / 1_000_000:,.0f} MB" if size >= 1_000_000 else f"{size:,} bytes"


# --- the clock

_ENDS: ContextVar[float | None] = ContextVar("import_ends", default=None)


@contextmanager
def in_time() -> Iterator[None]:
    """Start the clock of a reading or unpacking that `check_time` looks at, where none runs yet."""
    if _ENDS.get() is not None:
        yield
        return
    token = _ENDS.set(time.monotonic() + limits().seconds)
    try:
        yield
    finally:
        _ENDS.reset(token)


def check_time() -> None:
    """Raise EngineError when the clock has run out. Without a clock nothing happens."""
    ends = _ENDS.get()
    if ends is not None and time.monotonic() > ends:
        raise EngineError(
            f"Reading it took longer than {limits().seconds} seconds; nothing was imported.",
            f"Give less at once, or allow more time: {allow_more('seconds')}",
        )
