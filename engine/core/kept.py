"""What a workspace remembers of what was read of its files: kept in data/cache, and never shown stale.

Owns one thing: the answer of a slow reading lies beside what it was made from (the contents that went in, and
the engine's code and word lists), and is believed only where that is still the same and the answer is whole.
It may be deleted at any time (`clean`). A damaged one is made anew; where nothing can be written, nothing is
kept.
"""

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from engine.core.errors import EngineError
from engine.core.forms import record
from engine.core.machine import read_only
from engine.core.paths import Workspace, read_text, write_atomically
from engine.core.stamps import stamp

Answer = TypeVar("Answer")
_log = logging.getLogger("engine.core.kept")


ENGINE = Path(__file__).resolve().parents[1]


def code_of(*places: Path) -> str:
    """Return the sha256 of the code and word lists of some files and folders."""
    digest = hashlib.sha256()
    for place in places:
        files = [one for one in place.rglob("*") if one.suffix in (".py", ".yaml")] or [place]
        for path in sorted(files):
            digest.update(f"{path.relative_to(place.parent)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


_here: dict[Path, tuple[str, Any]] = {}  # file -> identity and answer
_CODE = code_of(ENGINE)  # as it was loaded, not as it may be edited under a process that stays


def kept(
    ws: Workspace, name: str, made_from: tuple[str, ...], form: type[Answer], make: Callable[[], Answer]
) -> Answer:
    """Return what `make` returns, as a record of `form`; read it where it was kept.

    `made_from` are texts (hashes, mostly) that differ whenever the answer may. One answer is kept a name, on
    disk and in this process; nobody may change it. Whoever has it made gets what later readers get.
    """
    path, identity = _place(ws, name, made_from)
    here = _here.get(path)
    if here is None or here[0] != identity:
        here = identity, on_disk(ws, name, made_from, form, make)
        _here[path] = here
    return here[1]


def on_disk(
    ws: Workspace, name: str, made_from: tuple[str, ...], form: type[Answer], make: Callable[[], Answer]
) -> Answer:
    """As `kept`, for who keeps what was read himself: in this process it is forgotten."""
    there = held(ws, name, made_from, form)
    return leave(ws, name, made_from, form, make()) if there is None else there


def held(ws: Workspace, name: str, made_from: tuple[str, ...], form: type[Answer]) -> Answer | None:
    """Return what is kept on disk; None where nothing whole is, or it was made from something else."""
    path, identity = _place(ws, name, made_from)
    with suppress(FileNotFoundError, EngineError, ValueError):
        head, _, body = read_text(path).partition("\n")
        if head == _head(identity, body):
            return record(form, body)
    return None


def leave(ws: Workspace, name: str, made_from: tuple[str, ...], form: type[Answer], made: Answer) -> Answer:
    """Keep an answer on disk, in the place of an older one, and return it as later readers get it."""
    path, identity = _place(ws, name, made_from)
    body = TypeAdapter(form).dump_json(made).decode()
    try:
        if ws.data.is_dir() and not read_only(ws):
            write_atomically(path, f"{_head(identity, body)}\n{body}")
    except (OSError, EngineError) as error:
        _log.debug("%s is not kept: %s", path, error)
    return record(form, body)


def make_room(ws: Workspace, kind: str, *, most: int) -> None:
    """Let the oldest answers named `kind`-... go, so that with one more there are at most so many."""
    if read_only(ws):
        return
    there = {path: told for path in ws.cache.glob(f"{kind}-*.kept") if (told := stamp(path))}
    for path in sorted(there, key=lambda one: there[one][2])[: max(0, len(there) + 1 - most)]:
        with suppress(OSError):
            path.unlink()


def is_kept(ws: Workspace, name: str, made_from: tuple[str, ...]) -> bool:
    """Say whether an answer made from just these is there; it may be damaged, and then takes its time."""
    path, identity = _place(ws, name, made_from)
    with suppress(FileNotFoundError, EngineError):
        return _here.get(path, ("",))[0] == identity or read_text(path).startswith(f"{identity} ")
    return False


def _place(ws: Workspace, name: str, made_from: tuple[str, ...]) -> tuple[Path, str]:
    path = ws.cache / f"{name}.kept"  # a head line, then JSON
    return path, hashlib.sha256("\0".join((_CODE, name, *made_from)).encode()).hexdigest()


def _head(identity: str, body: str) -> str:
    return f"{identity} {hashlib.sha256(body.encode()).hexdigest()}"
