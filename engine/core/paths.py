"""Where things lie in a workspace, and how a file is replaced without ever being half-written."""

import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from engine.core import forms
from engine.core.errors import EngineError
from engine.core.forms import Record
from engine.core.stamps import Stamp, settled, stamp

REPOSITORY = Path(__file__).resolve().parents[2]
"""Where the product's own files lie: the checkout, or what pip installed it into."""

_umask = os.umask(0o077)  # the only way to read it is to set it
os.umask(_umask)
_FILE_MODE = 0o666 & ~_umask
_LARGEST_BYTES, _SMALL_BYTES = 2_000_000_000, 20_000
_DOCTOR = "Run: python -m engine doctor"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A root folder holding data/, models/ and results.duckdb."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def dataset(self) -> Path:
        """The imported dataset: personas.jsonl, dialogues.jsonl, card.json."""
        return self.data / "dataset"

    @property
    def splits(self) -> Path:
        """splits.json, and exports in the study's form."""
        return self.data / "splits"

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    @property
    def cache(self) -> Path:
        """What may be deleted: it is made again."""
        return self.data / "cache"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def config(self) -> Path:
        """The choices made at `init`: dataset source, base, split scheme, seed."""
        return self.data / "workspace.json"

    @property
    def database(self) -> Path:
        return self.root / "results.duckdb"

    def run_folder(self, run_id: str) -> Path:
        """The folder of a run. Raises EngineError for a name that would lead elsewhere."""
        return self.runs / plain_name(run_id, what="a run")

    def adapters(self, run_id: str) -> Path:
        """The folder of a run's adapters. Raises EngineError for a name that would lead elsewhere."""
        return self.models / plain_name(run_id, what="a run")

    def adapter(self, run_id: str, name: str) -> Path:
        """The folder of one adapter. Raises EngineError for a name, or a link, that leads elsewhere."""
        folder = self.adapters(run_id) / plain_name(name, what="an adapter")
        if link := first_link(self.adapters(run_id), folder):
            raise EngineError(
                f"{link} is a link, and what it leads to is no adapter of this workspace.",
                "Put the folder itself in its place, or choose another variant.",
            )
        return folder

    def read_config(self) -> dict[str, Any]:
        """Return the workspace's choices. Raises EngineError when `init` has not run here."""
        if not self.config.exists():
            raise EngineError(
                f"{self.root} is not a workspace yet.",
                "Create one: python -m engine init --workspace DIR --dataset world:default --personas 20",
            )
        return read_json(self.config)


def open_workspace(root: str | Path | None = None) -> Workspace:
    """Return the workspace at `root`; by default $PERSONA_LAB_WORKSPACE, else `default_root`."""
    chosen = root or os.environ.get("PERSONA_LAB_WORKSPACE") or default_root()
    return Workspace(Path(os.path.realpath(os.path.expanduser(chosen))))  # links in a circle stay as they are


def default_root() -> Path:
    """The workspace of who names none: the checkout; of an installed copy the folder one stands in."""
    return REPOSITORY if (REPOSITORY / "Makefile").exists() else Path.cwd()


_OF_USER = {"cache": ".cache", "config": ".config", "state": ".local/state"}


def user_folder(kind: Literal["cache", "config", "state"]) -> Path:
    """The user's own folder, outside every workspace: below $XDG_CACHE_HOME and so on, or the home folder.

    In `config` lies what this user allows, in `state` what tells her work from others', in `cache` what the
    machine remembers and nothing is lost with.
    """
    root = os.environ.get(f"XDG_{kind.upper()}_HOME") or f"~/{_OF_USER[kind]}"
    return Path(os.path.expanduser(root)) / "persona-lab"


def embedded_base() -> Path:
    """The folder of the base model that ships with the project."""
    return REPOSITORY / "models" / "base"


def folder_name(persona_id: str) -> str:
    """Return a file name for a persona: her id, with what file systems dislike spelled out."""
    return "".join(
        letter if letter.isalnum() or letter in "-_" else f"%{ord(letter):02x}" for letter in persona_id
    )


def plain_name(name: object, *, what: str) -> str:
    """Return a name that a file gave, once it is one file's name. Raises EngineError for a path or worse."""
    if not isinstance(name, str) or name in ("", ".", "..") or any(sign in name for sign in "/\0"):
        raise EngineError(
            f"{name!r} cannot be the name of {what}: it would lead out of its folder.",
            "Whatever names it was changed, or comes from elsewhere: python -m engine doctor",
        )
    return name


def first_link(*folders: Path, deep: bool = False) -> Path | None:
    """Return the first symbolic link among these folders and what lies directly in them, None without one.

    With `deep`, what lies in their folders is looked at too. Follows no link.
    """
    left = list(folders)
    while left:
        folder = left.pop(0)
        if folder.is_symlink():
            return folder
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        link = next((entry for entry in found if entry.is_symlink()), None)
        if link is not None:
            return Path(link.path)
        if deep:
            left += [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]
    return None


class WorkspaceGone(EngineError):
    """The workspace was moved or deleted while something here worked on it."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            f"{root} holds no workspace any more: it was moved or deleted.",
            "Name its new place: --workspace DIR. A run that was at work resumes there.",
        )


class TornFile(EngineError):
    """A file that is not what was written: cut off, or changed by something else."""

    def __init__(self, path: Path, fault: str, hint: str = _DOCTOR) -> None:
        super().__init__(f"{path} {fault}", hint)
        self.path = path


def read_text(path: Path, *, errors: str = "strict") -> str:
    """Return the text of a file of a workspace, in UTF-8. Raises as read_bytes, and TornFile for another."""
    try:
        return read_bytes(path).decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise TornFile(path, f"is not text in UTF-8: {error.reason} at byte {error.start}") from error


def read_bytes(path: Path) -> bytes:
    """Return what a file holds. Raises FileNotFoundError where there is none.

    Raises TornFile for a folder, a pipe or anything else in its place, EngineError where it cannot be read. A
    small one that is as it was is not read again: choices and settings are asked for dozens of times.
    """
    seen = stamp(path)
    if seen is None or seen[1] > _SMALL_BYTES or not settled(seen):
        return _read(path)
    return _as_it_was(path, seen)


@lru_cache(maxsize=256)
def _as_it_was(path: Path, seen: Stamp) -> bytes:
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe has no end to wait for
        try:
            found = os.fstat(handle)
            refuse_other_than_files(path, found)
            if found.st_size > _LARGEST_BYTES:
                raise TornFile(path, f"holds {found.st_size / 1e9:.1f} GB, which nothing here writes.")
            with open(handle, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:  # what its folder should be is a file: there is none in it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except OSError as error:
        raise EngineError(
            f"{path} cannot be read: {error.strerror or error}.", "Check that it belongs to you."
        ) from error


def refuse_other_than_files(path: Path, found: os.stat_result) -> None:
    """Raise TornFile where what was found in a file's place is a folder, a pipe or anything else."""
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no file"
        raise TornFile(path, f"is {what}.", f"Put the file back in its place, or remove {path}.")


def read_json(path: Path, form: Any = None) -> Any:
    """Return the parsed JSON of `path`: of `form`, by default the form that files of its name have.

    Raises FileNotFoundError where there is none, and TornFile, an EngineError naming the file and what is
    wrong, when it is no JSON or of another form (engine/core/forms.py).
    """
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TornFile(path, f"is not valid JSON: {error}") from error
    wanted = form if form is not None else forms.FORMS.get(path.name)
    if wanted is not None:
        _record(path, wanted, text, _DOCTOR)
    return value


def read_record(path: Path, form: type[Record], *, hint: str = _DOCTOR) -> Record:
    """Return what a file of JSON says, as a record of `form`; what a newer version adds is passed over.

    Raises FileNotFoundError where there is none, and TornFile, with the hint, where it is of another form.
    """
    return _record(path, form, read_text(path), hint)


def read_if_whole(path: Path, form: type[Record]) -> Record | None:
    """Return what a file of JSON says, as `read_record`; None where there is none or it cannot be read.

    For what only saves work: it is made again.
    """
    with suppress(FileNotFoundError, EngineError):
        return read_record(path, form)
    return None


def _record(path: Path, form: type[Record], text: str, hint: str) -> Record:
    try:
        return forms.record(form, text)
    except ValueError as error:
        raise TornFile(path, f"is of another form: {error}.", hint) from error


def read_rows(path: Path, form: Any = Any) -> list[Any]:
    """Return the lines of a file of JSON lines that only grows, each as a record of `form`.

    Lines torn by a kill, or of another form, are left out; there are none where there is no file. A reply may
    hold one of the rarer line separators, so only newlines count.
    """
    rows = []
    for line in read_text(path, errors="replace").split("\n") if path.exists() else ():
        with suppress(ValueError):
            rows.append(forms.record(form, line))
    return rows


_anchored: set[Path] = set()


def anchor(folder: Path) -> None:
    """Let nothing in this process make `folder` anew once it has gone: its work was moved elsewhere."""
    _anchored.add(folder)


def make_folder(folder: Path) -> None:
    """Make a folder and those it stands in. Raises FileNotFoundError below an anchored one that has gone.

    Raises PermissionError where nothing can be made.
    """
    for root in _anchored.intersection((folder, *folder.parents)):
        if not root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(root))
    with _refused(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Say what "not found" (/proc, a deleted folder) and "exists" (a file) mean where something is made."""
    try:
        yield
    except FileNotFoundError as error:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from error
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from error


_FULL = (os.strerror(errno.ENOSPC), "disk is full")
"""How libraries that raise errors of their own say it: safetensors, SQLite."""


@contextmanager
def full_disk_told(path: Path) -> Iterator[None]:
    """Raise OSError of a full disk where a library says in its own words that there is no room for `path`."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)  # a write alone names no file
        raise
    except Exception as error:
        if not any(words in str(error) for words in _FULL):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Give a folder to write into that takes the place of `folder` in the end: there whole or not at all.

    What is half written goes where it does not come to its end. Raises OSError where the disk is full.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        make_folder(part)
        with full_disk_told(folder):
            yield part
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` so that a reader sees the old or the new file, never a part.

    Makes its folder where that is missing, as make_folder does. What is no file (a pipe, a terminal) is
    written to, and stays.
    """
    make_folder(path.parent)
    if path.exists() and not (path.is_file() or path.is_dir()):
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return
    with _refused(path) if path.parent.is_dir() else nullcontext():
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with full_disk_told(path), os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _FILE_MODE)
        os.replace(temporary, path)
    except IsADirectoryError as error:
        Path(temporary).unlink(missing_ok=True)
        raise TornFile(path, "is a folder.", f"Remove {path}: a file belongs in its place.") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def is_temporary(name: str) -> bool:
    """Say whether a file is named as write_atomically names one before it takes its place."""
    return re.fullmatch(r"\..+\.\w+\.[a-z0-9_]{8}", name) is not None


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON atomically. Raises ValueError on NaN: JSON has none."""
    write_atomically(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
