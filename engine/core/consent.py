"""Consent: what this user, on this machine, put to work in this very folder.

What lies in a workspace may have been written by anybody: it was copied, mounted, unpacked or laid in. So a
file that says "queued" starts nothing; a token does, which only this user can have made: an HMAC over
machine, user, place and what was agreed to, with a secret that lies in the user's own state folder
($XDG_STATE_HOME/persona-lab/secret). A copied or moved workspace keeps its tokens, and they hold no more.

Owns the secret and the form of tokens. Decides nothing; writes only when something is agreed to.
"""

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace, user_folder

_MACHINE_ID = Path("/etc/machine-id")
_SECRET_BYTES = 32
_kept: dict[Path, bytes] = {}


def agree(ws: Workspace, *to: Any) -> str:
    """Return the token that this user agrees, here, to these plain values. Makes the secret at first.

    Raises EngineError where the user's state folder cannot be written.
    """
    return _token(_secret() or _new_secret(), ws, to)


def agreed(ws: Workspace, token: str, *to: Any) -> bool:
    """Say whether this user has agreed, on this machine and here, to these values. Writes nothing."""
    secret = _secret()
    if secret is None or not isinstance(token, str):
        return False
    return hmac.compare_digest(_token(secret, ws, to).encode(), token.encode("utf-8", "surrogatepass"))


def _token(secret: bytes, ws: Workspace, to: tuple[Any, ...]) -> str:
    words = json.dumps([_machine(), os.getuid(), os.path.realpath(ws.root), *to], sort_keys=True)
    return hmac.new(secret, words.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _machine() -> str:
    with suppress(OSError):
        return _MACHINE_ID.read_text(encoding="utf-8").strip()
    return ""  # a container without one: user, secret and place still tell


def _secret() -> bytes | None:
    path = _path()
    if path not in _kept:
        try:
            found = path.read_bytes()
        except OSError:
            return None
        if len(found) != _SECRET_BYTES:
            return None
        _kept[path] = found
    return _kept[path]


def _new_secret() -> bytes:
    """Make the secret, readable by this user alone; where two processes do so at once, one of them wins."""
    path = _path()
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        if path.exists() and path.stat().st_size != _SECRET_BYTES:
            path.unlink()  # cut off: what it had signed must be agreed to anew
        with suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
    except OSError as error:
        raise EngineError(
            f"{path.parent} cannot be written: {error.strerror or error}. It is where Persona Lab keeps what "
            "tells the runs that you started from those that came with a folder.",
            "Give it a folder of yours: export XDG_STATE_HOME=DIR",
        ) from error
    found = _secret()
    if found is None:
        raise EngineError(f"{path} cannot be read.", f"Delete it: rm {path}")
    return found


def _path() -> Path:
    return user_folder("state") / "secret"
