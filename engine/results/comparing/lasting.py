"""What an answer from results rests on: as long as none of it is another, it may be kept on disk.

Owns the list of what that is. Computes nothing, and keeps nothing itself (engine/core/kept.py does).
"""

import os

from engine.core import integrity
from engine.core.command import command_line
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.stamps import stamp
from engine.data.dataset import contents
from engine.domains import metrics
from engine.domains.registry import domain_of
from engine.lm.scorer_choice import encoder_of
from engine.results import store
from engine.results.comparing import frozen, looks
from engine.results.comparing.sharing import PERSONAS
from engine.runs.runfolder import fingerprint


def results_of(ws: Workspace) -> str:
    """Return what changes with the runs, the reference, the base and the definition of a metric."""
    return " ".join(
        [store.version(ws), *(f"{one.name}:{one.version}" for one in metrics.of_study(ws).values())]
    )


def rests_on(ws: Workspace, results: str) -> tuple[str, ...]:
    """Return texts of which one is another whenever a comparison, or what follows from several, may be.

    They are of the runs and what of their adapters tells who shares them, the reference and the base, the
    data and their domain, the metrics, the encoder, the choices of `init`, the records of looks and plans,
    and how the workspace is named in commands. `results` is what `results_of` says of them now.
    """
    files = (ws.config, looks.path(ws), frozen.path(ws))
    return (
        results,
        domain_of(ws).identity,
        *contents(ws),
        *(integrity.sha256(path) if path.exists() else "" for path in files),
        _shared(ws),
        _encoder(ws),
        command_line(ws=ws),
    )


def _shared(ws: Workspace) -> str:
    """Which runs tell who shares what they trained (engine/results/comparing/sharing.py), and as of when."""
    try:
        names = sorted(os.listdir(ws.models))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return fingerprint({name: stamp(f"{ws.models}/{name}/{PERSONAS}") for name in names}, 32)


def _encoder(ws: Workspace) -> str:
    try:
        return encoder_of(ws).identity
    except EngineError as error:
        return error.message
