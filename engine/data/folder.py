"""The files of a foreign folder: found without a way out of it, and opened only where they are files.

Owns how far is looked. Refuses folders with far too much in them, links that lead out, and waits for no pipe
or device.
"""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO

from engine.core.errors import EngineError
from engine.core.limits import allow_more, check_time, in_time, limits
from engine.core.wording import listed


@in_time()
def files_in(
    folder: Path, suffixes: tuple[str, ...], *, depth: int | None = None, trusted: Path | None = None
) -> list[Path]:
    """Return the visible files with one of the `suffixes` in `folder` and `depth` folders below, in order.

    Folders that are links are not entered; a file that is a link is taken when it leads to a place in
    `folder` or in `trusted` (the hub's cache links to its own store). Raises EngineError for one that leads
    elsewhere, and for a folder that holds more, or goes deeper, than `limits` allow.
    """
    allowed = limits()
    found = list[Path]()
    for entry in _entries(folder, folder, 0, depth):
        if entry.name.lower().endswith(suffixes) and _is_file(entry):
            if entry.is_symlink():
                _refuse_way_out(entry.path, folder, trusted)
            found.append(Path(entry.path))
            if len(found) > allowed.files:
                raise EngineError(
                    f"{folder} holds more than {allowed.files:,} {listed(suffixes)} files.",
                    f"Name the folder that holds the right ones, or allow more: {allow_more('files')}",
                )
    return found


def _entries(top: Path, folder: Path, level: int, depth: int | None) -> Iterator[os.DirEntry[str]]:
    """Yield what lies in `folder`, files before folders and both by name, then what lies below."""
    allowed = limits()
    if depth is None and level > allowed.depth:
        raise EngineError(
            f"{top} goes deeper than {allowed.depth} folders.",
            f"Name the folder that holds the files, or allow more: {allow_more('depth')}",
        )
    here = list[os.DirEntry[str]]()
    try:
        with os.scandir(folder) as entries:
            here.extend(islice(entries, allowed.entries + 1))
    except OSError as error:
        raise EngineError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if len(here) > allowed.entries:
        raise EngineError(
            f"{folder} holds more than {allowed.entries:,} entries.",
            f"Name a folder with the data alone, or allow more: {allow_more('entries')}",
        )
    check_time()
    visible = sorted(
        (entry for entry in here if not entry.name.startswith((".", "__MACOSX"))), key=lambda one: one.name
    )
    below = [entry for entry in visible if entry.is_dir(follow_symlinks=False)]
    yield from (entry for entry in visible if not entry.is_dir(follow_symlinks=False))
    if depth is None or level < depth:
        for entry in below:
            yield from _entries(top, Path(entry.path), level + 1, depth)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle
        return False


def _refuse_way_out(path: str, folder: Path, trusted: Path | None) -> None:
    place = Path(path).resolve()
    if not any(place.is_relative_to(home.resolve()) for home in (folder, trusted) if home is not None):
        raise EngineError(
            f"{path} is a link that leads out of {folder}.",
            "Put the file itself there, or name its own place.",
        )


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading. Raises OSError for what is no ordinary file: a pipe would never answer."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(None, "it is no ordinary file", str(path))
    return os.fdopen(handle, "rb")
