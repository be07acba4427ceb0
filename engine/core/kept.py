"""What a workspace remembers of what was read of its files: kept in data/cache, and never shown stale.

Owns one thing: the answer of a slow reading lies beside what it was made from (the contents that went in, and
the engine's code and word lists), and is believed only where that is still the same and the answer is whole.
It may be deleted at any time (`clean`). A damaged one is made anew; where nothing can be written, nothing is
kept.
"""

from __future__ import annotations

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

Answer = TypeVar("Answer")
_log = logging.getLogger("engine.core.kept")


def _code_here() -> str:
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for path in sorted(one for one in root.rglob("*") if one.suffix in (".py", ".yaml")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


_here: dict[Path, tuple[str, Any]] = {}  # file -> identity and answer
_CODE = _code_here()  # as it was loaded, not as it may be edited under a process that stays


def kept(
    ws: Workspace, name: str, made_from: tuple[str, ...], form: type[Answer], make: Callable[[], Answer]
) -> Answer:
    """Return what `make` returns, a record of `form`; read it where it was kept.

    `made_from` are texts (hashes, mostly) that differ whenever the answer may. One answer is kept a name, on
    disk and in this process; nobody may change it.
    """
    path = ws.cache / f"{name}.kept"  # a head line, then JSON
    identity = hashlib.sha256("\0".join((_CODE, name, *made_from)).encode()).hexdigest()
    here = _here.get(path)
    if here is None or here[0] != identity:
        here = identity, _on_disk(ws, path, identity, form, make)
        _here[path] = here
    answer: Answer = here[1]
    return answer


def _on_disk(
    ws: Workspace, path: Path, identity: str, form: type[Answer], make: Callable[[], Answer]
) -> Answer:
    with suppress(FileNotFoundError, EngineError, ValueError):
        head, _, body = read_text(path).partition("\n")
        if head == _head(identity, body):
            return record(form, body)
    made = make()
    try:
        if ws.data.is_dir() and not read_only(ws):
            body = TypeAdapter(form).dump_json(made).decode()
            write_atomically(path, f"{_head(identity, body)}\n{body}")
    except (OSError, EngineError) as error:
        _log.debug("%s is not kept: %s", path, error)
    return made


def _head(identity: str, body: str) -> str:
    return f"{identity} {hashlib.sha256(body.encode()).hexdigest()}"
