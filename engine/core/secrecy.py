"""Keeps API keys out of what is written. Owns the rule for what a secret is; reads the environment only."""

from __future__ import annotations

import os

_ENDINGS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_CREDENTIALS")
_LEAST_LETTERS = 8
HIDDEN = "[hidden]"


def without_secrets(text: str) -> str:
    """Return a text with the value of every secret of this process's environment hidden.

    A secret is a variable named ..._KEY, ..._TOKEN, ..._SECRET, ..._PASSWORD or ..._CREDENTIALS; values of
    fewer than 8 letters are no secrets worth the name.
    """
    for value in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def _secrets() -> set[str]:
    found = (value for name, value in os.environ.items() if name.upper().endswith(_ENDINGS))
    return {value for value in found if len(value) >= _LEAST_LETTERS}
