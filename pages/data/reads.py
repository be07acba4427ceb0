"""What the Data page reads of checks, lengths and repeats, kept while the data stay the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.base_folder import base_on_disk
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.data.checks import repeats
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
        return None if folder is None else lengths_in(folder, reads.dataset(ws).dialogues)
    except EngineError:  # published scores, or a base that the Settings page tells of
        return None


def _repeats(ws: Workspace) -> list[Pair]:
    return repeats(reads.dataset(ws), reads.splits(ws))


def _checks(ws: Workspace) -> list[Mapping[str, Any]]:
    return study_checks(ws)


checks = reads.kept(_checks, version=_with_scorer)
lengths = reads.kept(_lengths, version=_with_scorer)
repeated = reads.kept(_repeats, version=_with_scorer)
