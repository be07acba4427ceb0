"""What the Data page reads of checks, lengths and repeats, kept while the data stay the same."""

from collections.abc import Callable
from pathlib import Path

from engine.core import integrity
from engine.core.base_folder import base_on_disk
from engine.core.errors import EngineError
from engine.core.kept import is_kept, kept
from engine.core.paths import Workspace
from engine.data.checks import REPEATS, kept_repeats
from engine.data.dataset import contents
from engine.lm.lengths import Lengths, lengths_in
from engine.results.checks import study_checks
from pages.shared import reads


def _with_scorer(ws: Workspace) -> str:
    config = ws.read_config()
    return f"{reads.version(ws)} {config.get('scorer')} {config['base']} {config['dataset'].get('data_hash')}"


AT_ONCE = 5_000
"""So many dialogues are read through whenever the page is opened; more of them once somebody asks for it."""


def unread(ws: Workspace) -> dict[str, Callable[[Workspace], object]]:
    """Return what takes long and was never read of these dialogues, by what it tells; nothing of few."""
    if reads.card(ws)["counts"]["dialogues"] <= AT_ONCE:
        return {}
    made_from = contents(ws)
    readings = [
        ("portrait", made_from, "words that set each persona apart", reads.about),
        ("subjects", reads.of_subjects(ws), "what replies act on", reads.subjects),
        (REPEATS, made_from, "repeats", repeated),
    ]
    if (told := _tokenised(ws)) is not None:
        readings.append(("lengths", (*told[1], *made_from), "lengths in tokens", lengths))
    return {words: read for name, identity, words, read in readings if not is_kept(ws, name, identity)}


def _tokenised(ws: Workspace) -> tuple[Path, tuple[str, ...]] | None:
    """The base's folder and what tells its tokenizer from others; None where it is not on this machine."""
    try:
        folder = base_on_disk(str(ws.read_config()["base"]))
        if folder is None:
            return None
        return folder, tuple(integrity.sha256(folder / name) for name in ("tokenizer.json", "config.json"))
    except (EngineError, OSError):  # no tokenizer.json, or a base that Settings tells of
        return None


_UNREADABLE = Lengths(None, 0, 0, 0, 0, 0)


def _lengths(ws: Workspace) -> Lengths | None:
    """Return how long the dialogues are in tokens of the base; None where it is not on this machine."""
    if (found := _tokenised(ws)) is None:
        return None
    folder, told = found

    def count() -> Lengths:
        dialogues = reads.dataset(ws).dialogues
        try:
            return lengths_in(folder, dialogues)
        except (EngineError, OSError):  # a tokenizer that is none
            return _UNREADABLE

    try:
        held = kept(ws, "lengths", (*told, *contents(ws)), Lengths, count)
    except (EngineError, OSError):  # published scores
        return None
    return None if held == _UNREADABLE else held


checks = reads.kept(study_checks, version=_with_scorer)
lengths = reads.kept(_lengths, version=_with_scorer)
repeated = reads.kept(kept_repeats, version=_with_scorer)
