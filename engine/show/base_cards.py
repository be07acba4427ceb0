"""A base's card for the app: probed in a process of its own, so that the app loads no model code.

Owns also the choice of bases that are offered by name, and what one takes to be set up. Keeps nothing.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from engine.core import secrecy
from engine.core.base_folder import EMBEDDED, SMOLLM2, smollm2_folder
from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY

_MOST_SECONDS = 1800.0
_TOKENS = ("HF_TOKEN",)


@dataclass(frozen=True, slots=True)
class Offered:
    """A base that is offered by name. `missing` is the command that sets it up, "" where it is ready."""

    name: str
    words: str
    missing: str = ""


def offered() -> tuple[Offered, ...]:
    """Return the bases that need no path and no hub."""
    ready = (smollm2_folder() / "config.json").exists()
    return (
        Offered(EMBEDDED, "embedded: 2 M parameters, made for synthetic worlds; comes with Persona Lab"),
        Offered(
            SMOLLM2,
            "smollm2: SmolLM2-135M-Instruct, a real language model",
            "" if ready else "make setup-smollm2",
        ),
    )


def probed(base: str) -> dict[str, Any]:
    """Return the card of a base (engine/lm/probe.py) as JSON; a hub model is fetched meanwhile.

    Raises EngineError with what the probe says where it cannot look at all.
    """
    words = [sys.executable, "-m", "engine", "base", "probe", "--json", "--", base]
    given = {name: os.environ[name] for name in _TOKENS if name in os.environ}
    try:
        done = subprocess.run(
            words,
            cwd=REPOSITORY,
            env={**secrecy.environment(), **given},
            capture_output=True,
            text=True,
            timeout=_MOST_SECONDS,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"{base} was not looked at within {_MOST_SECONDS / 60:.0f} minutes.",
            f"Look at it in a terminal: python -m engine base probe {base}",
        ) from error
    except ValueError as error:
        told = done.stderr.strip().splitlines()
        raise EngineError(
            f"The look at {base} broke off: {told[-1] if told else f'exit code {done.returncode}'}",
            "Where the machine ran out of memory, choose a smaller base.",
        ) from error
    if "error" in found:
        raise EngineError(str(found["error"]), str(found.get("hint") or ""))
    return found
