"""What can be told of files without reading them: whether one is still the same or cut off, and how much lies
there."""

import os
import time
from contextlib import suppress
from pathlib import Path

Stamp = tuple[int, int, int, int]
"""A file's inode, its size, the time of its content and that of its record, both in ns."""
_SETTLED_NS = 50_000_000  # one changed a moment ago may change again within one tick of its times


def stamp(path: Path | str) -> Stamp | None:
    """Return what changes when a file is replaced or written to; None for one that is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def settled(found: Stamp) -> bool:
    """Say whether whatever changes a file from now on changes its stamp, too."""
    return time.time_ns() - max(found[2:]) > _SETTLED_NS


def grown(path: Path) -> int:
    """Return what grows with each line of a file that only grows, 0 before the first."""
    found = stamp(path)
    return found[1] if found else 0


def is_whole_table(path: Path) -> bool:
    """Say whether a file begins and ends as parquet does."""
    with path.open("rb") as file:
        begin, size = file.read(4), file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4))
        return begin == file.read() == b"PAR1"


def held(path: Path) -> tuple[int, int]:
    """Return bytes and files of a file or below a folder; what vanishes meanwhile is left out."""
    if path.is_file():
        return path.lstat().st_size, 1
    total = files = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
                files += 1
    return total, files


def weight_bytes(folder: Path) -> int:
    """Return the size of a model's weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
