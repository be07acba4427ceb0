"""Changing a workspace's data all at once or not at all.

Owns the temporary folder that everything is built in (inside the workspace, so that moving in is a
rename), the lock that keeps two imports apart, and the way back when moving in fails half-way. Refuses to
leave anything behind: after a failure the workspace is, byte for byte, what it was.
"""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace

PREFIX = ".incoming-"


@contextmanager
def incoming(ws: Workspace) -> Iterator[Path]:
    """Give an empty folder inside the workspace, gone at the end with all that was not moved out of it.

    Folders made for it (the workspace's own too) go again when nothing was moved in. Raises EngineError
    for a disk that is full or cannot be written, and when another import is at work.
    """
    made: list[Path] = []
    try:
        made = _make_folders(ws.data)
        with _alone(ws.data):
            _remove_leftovers(ws.data)
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=ws.data))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise _cannot_write(ws, error) from error
    finally:
        _remove_empty(made)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (name -> content) into a new folder, down to the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with (folder / name).open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def write_parts(
    staging: Path, ws: Workspace, dataset: Mapping[str, bytes], splits: Mapping[str, bytes], config: Any
) -> list[tuple[Path, Path]]:
    """Write what makes a workspace into `staging`; return what is to be moved where, the last of it last."""
    write_files(staging / "dataset", dataset)
    write_files(staging / "splits", splits)
    write_files(staging, {ws.config.name: json_bytes(config)})
    return [
        (staging / "dataset", ws.dataset),
        (staging / "splits", ws.splits),
        (staging / ws.config.name, ws.config),
    ]


def json_bytes(value: Any) -> bytes:
    """Return the content of a JSON file for people to read. Raises ValueError on NaN."""
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode("utf-8")


def move_in(moves: list[tuple[Path, Path]], *, aside: Path) -> None:
    """Rename each (new, place) to its place, in order; what is there now goes to the folder `aside`.

    What was there is taken away last place first, so that a crash half-way leaves no last place (the
    file that says "complete") beside other content. Any failure puts everything back, then raises it.
    """
    done: list[tuple[Path, Path]] = []
    aside.mkdir()
    try:
        for number, (_, place) in reversed(list(enumerate(moves))):
            if place.exists():
                _rename(place, aside / str(number), done)
        for new, place in moves:
            _rename(new, place, done)
    except BaseException:
        for source, target in reversed(done):
            os.replace(target, source)
        raise


def _rename(source: Path, target: Path, done: list[tuple[Path, Path]]) -> None:
    os.replace(source, target)
    done.append((source, target))


def _make_folders(folder: Path) -> list[Path]:
    """Make `folder` and its parents; return the new ones, outermost first."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    made = []
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        made.append(one)
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in reversed(folders):
        try:
            folder.rmdir()
        except OSError:  # not empty: something was moved in, or another process uses it
            return


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder itself: no lock file to leave behind, and gone with the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EngineError(
                f"Another import into {folder.parent} is at work.", "Wait until it ends, then try again."
            ) from error
        yield
    finally:
        os.close(handle)


def _remove_leftovers(data: Path) -> None:
    """Remove what a killed import left. Called under the lock: nobody is using it."""
    for leftover in data.glob(f"{PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _cannot_write(ws: Workspace, error: OSError) -> EngineError:
    nothing = "Nothing was imported, the workspace is as it was."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EngineError(f"The disk of {ws.root} is full. {nothing}", "Free some space, then try again.")
    if error.errno == errno.EFBIG:
        what = f"A file in {ws.root} would be larger than this process may write."
        return EngineError(f"{what} {nothing}", "Raise the limit (ulimit -f), then try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EngineError(
            f"{ws.root} cannot be written: {error.strerror}. {nothing}", "Choose another --workspace."
        )
    return EngineError(
        f"Writing to {ws.root} failed: {error.strerror or error}. {nothing}", "Choose another --workspace."
    )
