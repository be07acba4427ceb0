"""A user's own code: Python files that a workspace's settings name. Owns which of them may run.

data/machine.json names the files. None runs before this user has approved it, at its place and as its sha256
says; the approval is kept in the user's own configuration folder, outside every workspace, so a workspace
that somebody copied or sent runs nothing. What was hashed is what is executed: a file is read once. Says
nothing of what a file defines (STRATEGY or STRATEGIES, METRICS, DOMAIN): who owns these asks `defined`.
"""

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.core.errors import EngineError
from engine.core.locks import locked
from engine.core.machine import change_machine, read_machine
from engine.core.paths import Workspace, read_bytes, read_record, user_folder, write_json

_SHOWN_DIGITS = 12
_Approvals = dict[str, dict[str, str]]
_loaded: dict[tuple[Path, str], ModuleType] = {}
_failed: dict[tuple[Path, str], EngineError] = {}  # as they are, what was passed over and why
_passed_over: ContextVar[bool] = ContextVar("passed_over", default=False)
_loading = threading.RLock()


@dataclass(frozen=True, slots=True)
class Extension:
    """A named file. `sha256` is "" where it cannot be read; `approved` says whether it may run as it is."""

    path: Path
    sha256: str
    approved: bool

    @property
    def state(self) -> str:
        """In a word: "approved", "not approved", "missing"."""
        return "approved" if self.approved else "not approved" if self.sha256 else "missing"

    def refusal(self) -> EngineError:
        """Return the error for a file that may not run: how to look at it, and how to approve it."""
        if not self.sha256:
            return EngineError(
                f"{self.path} is named in this workspace's settings and cannot be read.",
                f"Put it back, or forget it: python -m engine machine --forget {self.path}",
            )
        return EngineError(
            f"{self.path} is code that you have not approved, so nothing of it runs.",
            f"Read it first: less {self.path}\n"
            f"Then approve it as it is: python -m engine machine --approve {self.path} "
            f"(sha256 {self.sha256[:_SHOWN_DIGITS]}...)",
        )


def named(ws: Workspace) -> tuple[Extension, ...]:
    """Return the files that the workspace's settings name, in their order. Runs none of them.

    Settings that cannot be read name none; nothing is changed in their workspace (engine/core/machine.py).
    """
    try:
        names = read_machine(ws).extensions
    except EngineError:
        return ()
    approvals = _approvals() if names else {}
    return tuple(_seen(_place(ws, name), approvals) for name in names)


def name_file(ws: Workspace, path: str | Path) -> Extension:
    """Name a file in the workspace's settings; it does not run before it is approved.

    Raises EngineError when there is no such Python file.
    """
    place = _place(ws, str(Path(path).expanduser().absolute()))
    if place.suffix != ".py" or not place.is_file():
        raise EngineError(f"{place} is no Python file.", "Name a file that ends in .py.")
    names = read_machine(ws).extensions
    if place not in [_place(ws, name) for name in names]:
        change_machine(ws, extensions=(*names, str(place)))
    return _seen(place, _approvals())


def forget_file(ws: Workspace, path: str | Path) -> None:
    """Name a file no more. Raises EngineError when the settings do not name it."""
    wanted = _named(ws, path).path
    kept = [name for name in read_machine(ws).extensions if _place(ws, name) != wanted]
    change_machine(ws, extensions=tuple(kept))


def approve(ws: Workspace, path: str | Path, *, sha256: str = "") -> Extension:
    """Let a named file run for this user, at this place and as it is now; return it.

    With `sha256` (or its first digits) only as it was when it was looked at. Raises EngineError when the
    settings do not name the file, when it cannot be read, and when it has changed.
    """
    found = _named(ws, path)
    if not found.sha256:
        raise found.refusal()
    if not found.sha256.startswith(sha256.lower()):
        raise EngineError(
            f"{found.path} has changed since you looked: its sha256 is {found.sha256}.", "Read it again."
        )
    kept = approvals_file()
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(kept.with_suffix(".lock"), what="The list of approved files"):
        entry = {"sha256": found.sha256, "approved_at": datetime.now(UTC).isoformat(timespec="seconds")}
        write_json(kept, {**_approvals(), str(found.path): entry})
        kept.chmod(0o600)
    return Extension(found.path, found.sha256, approved=True)


def approvals_file() -> Path:
    """Where this user's approvals are kept: below $XDG_CONFIG_HOME, by default ~/.config."""
    return user_folder("config") / "approved.json"


def load(extension: Extension) -> ModuleType:
    """Execute an approved file once in this process and return it as a module.

    Raises EngineError when it is not approved, when it is not any more what was approved, and when it fails.
    """
    with _loading:
        try:
            content = read_bytes(extension.path)
        except (OSError, EngineError) as error:
            raise Extension(extension.path, "", approved=False).refusal() from error
        sha256 = hashlib.sha256(content).hexdigest()
        current = _judged(extension.path, sha256, _approvals())
        if not current.approved:
            raise current.refusal()
        if _passed_over.get() and (extension.path, sha256) in _failed:
            raise _failed[extension.path, sha256]
        if (extension.path, sha256) not in _loaded:
            _loaded[extension.path, sha256] = _executed(extension.path, content, sha256)
        return _loaded[extension.path, sha256]


def defined(ws: Workspace, name: str) -> Iterator[tuple[Extension, Any]]:
    """Yield what approved files define under a name (such as "METRICS"), each with its file.

    Raises EngineError where an approved file fails; files that are not approved are passed over.
    """
    for extension in named(ws):
        if extension.approved:
            found = None
            with held(extension):
                found = getattr(load(extension), name, None)
            if found is not None:
                yield extension, found


@contextmanager
def only_looking() -> Iterator[None]:
    """Within it, an approved file that fails is passed over, as one that is not approved: `failing` has it.

    For who only looks: nothing may be computed or launched without what the file would have defined.
    """
    before = _passed_over.set(True)
    try:
        yield
    finally:
        _passed_over.reset(before)


@contextmanager
def held(extension: Extension) -> Iterator[None]:
    """Take what a file defines as its own matter: where one only looks, its faults end here."""
    try:
        yield
    except EngineError as error:
        if not _passed_over.get():
            raise
        _failed[extension.path, extension.sha256] = error


def failing(ws: Workspace) -> list[EngineError]:
    """Return why approved files are passed over where one only looks."""
    files = [one for one in named(ws) if one.approved]
    for one in files:
        with only_looking(), held(one):
            load(one)
    return [_failed[key] for one in files if (key := (one.path, one.sha256)) in _failed]


def waiting(ws: Workspace) -> tuple[Extension, ...]:
    """Return the named files that do not run: not approved, changed since, or missing."""
    return tuple(extension for extension in named(ws) if not extension.approved)


def _executed(path: Path, content: bytes, sha256: str) -> ModuleType:
    module = ModuleType(f"persona_lab_{path.stem}_{sha256[:_SHOWN_DIGITS]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # its records look their own annotations up there
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
    except Exception as error:  # the boundary to code that is not ours: whatever it raises is its fault
        del sys.modules[module.__name__]
        raise EngineError(
            f"{path} failed while it was read: {type(error).__name__}: {error}",
            f"Mend it and approve it again, or forget it: python -m engine machine --forget {path}",
        ) from error
    return module


def _named(ws: Workspace, path: str | Path) -> Extension:
    given = {_place(ws, str(path)), _place(ws, str(Path(path).expanduser().absolute()))}
    found = next((one for one in named(ws) if one.path in given), None)
    if found is None:
        raise EngineError(
            f"The settings of this workspace do not name {path}.",
            f"Name it first: python -m engine machine --extension {path}",
        )
    return found


def _place(ws: Workspace, name: str) -> Path:
    """A file's place; a relative one is within the workspace."""
    return (ws.root / Path(name).expanduser()).resolve()


def _seen(path: Path, approvals: _Approvals) -> Extension:
    try:
        return _judged(path, hashlib.sha256(read_bytes(path)).hexdigest(), approvals)
    except (OSError, EngineError):  # missing, or not ours to read: told by `state`
        return Extension(path, "", approved=False)


def _judged(path: Path, sha256: str, approvals: _Approvals) -> Extension:
    return Extension(path, sha256, approved=approvals.get(str(path), {}).get("sha256") == sha256)


def _approvals() -> _Approvals:
    path = approvals_file()
    return read_record(path, dict[str, dict[str, str]]) if path.exists() else {}
