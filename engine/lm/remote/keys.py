"""Where a provider's key comes from: the environment, else Streamlit's secrets.toml. Writes it nowhere."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY
from engine.lm.remote.endpoint import Endpoint, Provider

VARIABLES: Mapping[Provider, str] = {
    "openai-compatible": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
}
NO_KEY = "no-key"
"""What a server of one's own is sent, where a client insists on a key and there is none."""


def key_of(provider: Provider) -> str | None:
    """Return the provider's key; None where there is none.

    Side effect: a key from secrets.toml enters this process's environment, so that whatever hides the
    secrets of the environment (engine/core/secrecy.py) hides this one too.
    """
    name = VARIABLES[provider]
    if not os.environ.get(name, "").strip():
        found = next(filter(None, (_secret(path, name) for path in _places())), None)
        if found is None:
            return None
        os.environ[name] = found
    return os.environ[name].strip()


def required_key(endpoint: Endpoint) -> str:
    """Return the key to send. Raises EngineError where the provider's own address is asked without one."""
    key = key_of(endpoint.provider)
    if key is None and endpoint.base_url is None:
        raise EngineError(
            f"{endpoint.host} needs a key, and {VARIABLES[endpoint.provider]} is not set.",
            f"Set it in the environment, or in .streamlit/secrets.toml: {VARIABLES[endpoint.provider]}",
        )
    return key or NO_KEY


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
