"""What a run takes of its machine, sampled while it works: memory and processor. Owns usage.jsonl.

A look costs microseconds. There are many of them at first and fewer the longer a run takes, so that days of
work leave a small file.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from engine.core.paths import read_rows
from engine.runs.runfolder import append_line

NAME = "usage.jsonl"
_FIRST_SECONDS = 1.0
_LOOKS = 300  # while a run's time doubles, about two thirds of these are added
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class _Look(TypedDict):
    t: float
    memory_bytes: int
    processor: NotRequired[float]


class Sampler:
    """Appends a line to a folder's usage.jsonl when the next look is due."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._last, self._spent = time.monotonic(), _processor_seconds()

    def look(self, seconds: float) -> None:
        """Look, where it is time; `seconds` is the run's active time so far. A full disk is no error here."""
        now = time.monotonic()
        if now - self._last < max(_FIRST_SECONDS, seconds / _LOOKS):
            return
        spent = _processor_seconds()
        line = {
            "t": round(seconds, 1),
            "memory_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES,
            "processor": round((spent - self._spent) / (now - self._last), 2),
        }
        self._last, self._spent = now, spent
        with suppress(OSError):
            append_line(self._path, json.dumps(line))


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the looks at a run in order: t (active seconds), memory_bytes, processor (cores busy)."""
    return read_rows(folder / NAME, _Look)


def _processor_seconds() -> float:
    """The processor time of this process and of its children that have ended, all threads."""
    return sum(os.times()[:4])
