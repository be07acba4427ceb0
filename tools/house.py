"""The house at a glance: each room in its order, what it is for, its files and lines."""

from __future__ import annotations

import ast
from pathlib import Path

from engine.core.paths import REPOSITORY

ROOMS = ("core", "domains", "data", "stats", "lm", "runs", "strategies", "results", "show", "serve", "cli")
"""The rooms of engine/, in order: a room imports those before it and none after it."""


def house() -> str:
    """Return a line a room, then one for pages/ and one for all."""
    lines = [_line(f"engine/{room}", *_seen(f"engine/{room}")) for room in ROOMS]
    files, length = (sum(found) for found in zip(*(_size(one) for one in ("engine", "pages")), strict=True))
    return "\n".join([*lines, _line("pages", *_seen("pages")), _line("together", files, length, "")])


def inside(folder: Path) -> str:
    """Return a line a file of a folder and of those below: where it lies, and what it is for."""
    files = [path for path in sorted(folder.rglob("*.py")) if path.name != "__init__.py"]
    return "\n".join(f"{str(path.relative_to(folder)):<34}{phrase(path)}" for path in files)


def phrase(place: Path) -> str:
    """Return the first sentence of what a folder, or a file, says of itself."""
    path = place / "__init__.py" if place.is_dir() else place
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(told.split()).partition(". ")[0].rstrip(".")


def _seen(name: str) -> tuple[int, int, str]:
    return *_size(name), phrase(REPOSITORY / name)


def _size(name: str) -> tuple[int, int]:
    found = list((REPOSITORY / name).rglob("*.py"))
    return len(found), sum(len(path.read_text(encoding="utf-8").splitlines()) for path in found)


def _line(name: str, files: int, length: int, told: str) -> str:
    return f"{name:<18}{files:>4} files {length:>7,} lines  {told}".rstrip()
