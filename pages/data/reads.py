"""What the Data page reads of checks, lengths and repeats, kept while the data stay the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core import integrity
from engine.core.base_folder import base_on_disk
from engine.core.errors import EngineError
from engine.core.kept import kept
from engine.core.paths import Workspace
from engine.data.checks import repeats
from engine.data.dataset import contents
from engine.data.likeness import Pair
from engine.lm.lengths import Lengths, lengths_in
from engine.results.checks import study_checks
from pages.shared import reads


def _with_scorer(ws: Workspace) -> str:
    config = ws.read_config()
    return f"{reads.version(ws)} {config.get('scorer')} {config['base']} {config['dataset'].get('data_hash')}"


def _lengths(ws: Workspace) -> Lengths | None:
    """Return how long the dialogues are in tokens of the base; None where it is not on this machine."""
    try:
        folder = base_on_disk(str(ws.read_config()["base"]))
        if folder is None:
            return None
        tokenizer = (integrity.sha256(folder / name) for name in ("tokenizer.json", "config.json"))
        return kept(
            ws, "lengths", (*tokenizer, *contents(ws)), Lengths,
            lambda: lengths_in(folder, reads.dataset(ws).dialogues),
        )  # fmt: skip
    except (EngineError, OSError):  # published scores, no tokenizer.json, or a base that Settings tells of
        return None


def _repeats(ws: Workspace) -> list[Pair]:
    found = kept(
        ws, "repeats", contents(ws), tuple[Pair, ...],
        lambda: tuple(repeats(reads.dataset(ws), reads.splits(ws))),
    )  # fmt: skip
    return list(found)


def _checks(ws: Workspace) -> list[Mapping[str, Any]]:
    return study_checks(ws)


checks = reads.kept(_checks, version=_with_scorer)
lengths = reads.kept(_lengths, version=_with_scorer)
repeated = reads.kept(_repeats, version=_with_scorer)
