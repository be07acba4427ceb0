"""The keys that a process holds, for itself and for the processes it starts. Writes them nowhere.

They come from the environment, else from Streamlit's secrets.toml. A process that is started gets the ones it
needs through its standard input, so that no list of processes shows one and nothing it starts inherits one.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO

from engine.core import secrecy
from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY
from engine.core.permits import permits

HUB = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")
CLUSTER = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_MOST_BYTES = 60_000  # what a pipe takes at once
_received: dict[str, str] | None = None


def key_of(name: str) -> str | None:
    """Return a key by its variable's name; None where there is none. It is hidden in texts from then on."""
    if _received is not None:
        return _received.get(name)
    value = os.environ.get(name, "").strip()
    value = value or next(filter(None, (_secret(path, name) for path in _places())), "")
    secrecy.hide(value)
    return value or None


def held() -> dict[str, str]:
    """Return every key that a run may need and that is at hand here, by its variable's name."""
    if _received is not None:
        return dict(_received)
    names = dict.fromkeys([*(one.key for one in permits() if one.key), *HUB, *CLUSTER])
    return {name: value for name in names if (value := key_of(name))}


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
