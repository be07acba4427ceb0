"""The keys that a process holds, for itself and for the processes it starts.

They come from the environment, else from what this user has kept (`keep`: one file in her own settings, which
nobody else may read), else from Streamlit's secrets.toml. A process that is started gets the ones it needs
through its standard input, so that no list of processes shows one and nothing it starts inherits one. No key
is ever given back to a page.
"""

import json
import os
import secrets
import sys
import tomllib
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from engine.core import secrecy
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import REPOSITORY, user_folder
from engine.core.permits import permits
from engine.core.roles import refuse_unless

HUB = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")
CLUSTER = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_MOST_BYTES = 60_000  # what a pipe takes at once
_received: dict[str, str] | None = None


def key_of(name: str) -> str | None:
    """Return a key by its variable's name; None where there is none. It is hidden in texts from then on."""
    if _received is not None:
        return _received.get(name)
    value = os.environ.get(name, "").strip()
    value = value or _kept().get(name, "")
    value = value or next(filter(None, (_secret(path, name) for path in _places())), "")
    secrecy.hide(value)
    return value or None


def names() -> tuple[str, ...]:
    """Return the names of all keys that anything here may need."""
    return tuple(dict.fromkeys([*(one.key for one in permits() if one.key), *HUB[:1], *CLUSTER[:1]]))


def keep(name: str, value: str) -> None:
    """Keep a key for this user. Raises EngineError for a name that nothing needs, and for what is no key."""
    refuse_unless("own", "keep a key")
    if name not in names():
        raise unknown_name("key", name, names())
    value = value.strip()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise EngineError("This is no key: it is empty, or holds blanks or other signs.", "Paste it anew.")
    _write({**_kept(), name: value})
    secrecy.hide(value)


def drop(name: str) -> None:
    """Delete a kept key; one of the environment or of secrets.toml stays."""
    refuse_unless("own", "delete a key")
    _write({one: value for one, value in _kept().items() if one != name})


def kept_in() -> Path:
    """The file of kept keys: the account's, outside of every workspace."""
    return user_folder("config") / "keys.json"


def held() -> dict[str, str]:
    """Return every key that a run may need and that is at hand here, by its variable's name."""
    if _received is not None:
        return dict(_received)
    wanted = dict.fromkeys([*(one.key for one in permits() if one.key), *HUB, *CLUSTER])
    return {name: value for name in wanted if (value := key_of(name))}


def hand_on(pipe: IO[bytes], names: Collection[str]) -> None:
    """Write the keys of those names into the standard input of a process just started, and close it."""
    given = {name: value for name, value in held().items() if name in names}
    with suppress(BrokenPipeError), pipe:  # it may have ended already
        pipe.write(json.dumps(given).encode()[:_MOST_BYTES] + b"\n")


def receive() -> None:
    """Take what this process was handed as all the keys it has: to start others with, not to use."""
    global _received
    try:
        given = json.loads(sys.stdin.buffer.readline())
    except (ValueError, OSError, AttributeError):
        given = {}
    _received = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    for value in _received.values():
        secrecy.hide(value)


def use(names: Collection[str] | None = None) -> None:
    """Keep only the keys of those names (None: all that were handed over), in this process's environment.

    Side effect: every other secret leaves the environment of this process and of those it starts.
    """
    global _received
    kept = {name: value for name, value in held().items() if names is None or name in names}
    for name in [name for name in os.environ if secrecy.is_secret(name)]:
        del os.environ[name]
    os.environ.update(kept)
    secrecy.hide_no_more()
    for value in kept.values():
        secrecy.hide(value)
    _received = kept


def _kept() -> dict[str, str]:
    path = kept_in()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} cannot be read: {type(error).__name__}", "Mend or remove it.") from error
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _write(keys: Mapping[str, str]) -> None:
    """Replace the file of kept keys; from its first byte on only this user can read it."""
    path = kept_in()
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(dict(keys), file)
        os.replace(part, path)
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror}.", "Set XDG_CONFIG_HOME.") from error


def _places() -> tuple[Path, ...]:
    """The files that Streamlit reads its secrets from, the nearest first."""
    return tuple(root / ".streamlit" / "secrets.toml" for root in (Path.cwd(), REPOSITORY, Path.home()))


def _secret(path: Path, name: str) -> str | None:
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8")).get(name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} cannot be read: {type(error).__name__}", "Mend or remove it.") from error
    return value.strip() or None if isinstance(value, str) else None
