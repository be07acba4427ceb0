"""Keeps keys out of what is written and out of what is started. Owns the rule for what a secret is."""

import os

_WORDS = frozenset(
    ("KEY", "KEYS", "TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL")
    + ("CREDENTIALS", "PAT", "HEADERS")
)
_ENDINGS = ("PASSWORD", "APIKEY", "SECRET")
_LEAST_LETTERS = 8
HIDDEN = "[hidden]"
_known: set[str] = set()


def is_secret(name: str) -> bool:
    """Say whether a variable of that name holds a secret: OPENAI_API_KEY, HF_TOKEN, PGPASSWORD ..."""
    upper = name.upper()
    return not _WORDS.isdisjoint(upper.split("_")) or upper.endswith(_ENDINGS)


def hide(value: str) -> None:
    """Hide this value, too, in every text from now on."""
    if len(value) >= _LEAST_LETTERS:
        _known.add(value)


def hide_no_more() -> None:
    """Forget the values that were to be hidden: this process has none of them any more."""
    _known.clear()


def without_secrets(text: str) -> str:
    """Return a text with every secret of this process's environment, and what was to be hidden, hidden.

    Values of fewer than 8 letters are no secrets worth the name.
    """
    for value in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def environment() -> dict[str, str]:
    """Return this process's environment without its secrets: what a process started from here begins with."""
    return {name: value for name, value in os.environ.items() if not is_secret(name)}


def _secrets() -> set[str]:
    found = {value for name, value in os.environ.items() if is_secret(name) and len(value) >= _LEAST_LETTERS}
    return found | _known
