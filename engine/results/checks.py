"""The checks of a study: those of its data and split, as they were made at the import, and of its scorer.

Said alike at init, by doctor, on the Data page and under a comparison. What each means:
engine/data/checks.py.
"""

from collections.abc import Mapping
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.data import checks
from engine.data.dataset import SPLITS
from engine.lm.scorer_choice import reading


def study_checks(ws: Workspace) -> list[Mapping[str, Any]]:
    """Return every check, each {name, ok, detail}; of a study without dialogues those that there are."""
    return [*_held(ws), *_scorer(ws)]


def _held(ws: Workspace) -> list[Mapping[str, Any]]:
    """Those made at the import; a file of them that cannot be read is a failed one itself."""
    path = ws.splits / SPLITS
    try:
        return list(read_json(path).get("checks", ())) if path.exists() else []
    except EngineError as error:
        return [checks.named("split", error.message, "")]


def failed_words(ws: Workspace, *, scorer: bool = True) -> list[str]:
    """Return the failed checks in words: what was found, what that means, what to do."""
    return [
        checks.explained(check)
        for check in checks.failed(study_checks(ws))
        if scorer or check["name"] != checks.SCORER
    ]


def _scorer(ws: Workspace) -> list[Mapping[str, Any]]:
    try:
        found = reading(ws)
    except EngineError as error:
        return [checks.named(checks.SCORER, error.message, "")]
    except OSError:  # no data here yet
        return []
    if found is None:
        return []
    well = found.words or f"{found.encoder} reads all replies that are judged"
    return [checks.named(checks.SCORER, "" if found.is_trusted else found.words, well.rstrip("."))]
