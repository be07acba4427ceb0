"""Word lists: data in YAML beside the module that gives them a meaning. Owns the reading; knows no word."""

from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_words(beside: str, name: str) -> dict[str, Any]:
    """Return the lists of the YAML file `name` beside a module (its __file__), lists as tuples."""
    with (Path(beside).resolve().parent / name).open("rb") as file:
        return {key: _frozen(value) for key, value in yaml.load(file, Loader=_LOADER).items()}


def split(phrases: str, mark: str = ",") -> tuple[str, ...]:
    """Return the phrases of a text that `mark` separates."""
    return tuple(phrase.strip() for phrase in phrases.split(mark))


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return {key: _frozen(entry) for key, entry in value.items()} if isinstance(value, dict) else value
