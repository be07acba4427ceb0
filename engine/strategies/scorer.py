"""Which scorer and which primary metric a workspace has. Owns the fallback where similarity says nothing.

Where the primary metric cannot be told of the replies (the encoder cannot read them, or the metric is
undefined for most), chrF decides instead: characters are there in any script.
"""

from dataclasses import dataclass

from engine.core.errors import EngineError
from engine.core.machine import changes
from engine.core.paths import Workspace, write_json
from engine.core.wording import count, percent
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS, PRIMARY
from engine.lm.effects import SIMILARITY
from engine.lm.scorer_choice import (
    REMEDY,
    SCORER,
    SETTING,
    Encoder,
    judged_by_persona,
    judged_replies,
    named,
    reading,
)
from engine.runs.runfolder import RunSpec
from engine.strategies.ground import refuse_while_busy
from engine.strategies.spec import Outlook

FALLBACK = "chrf"
_LEAST_DEFINED = 0.5


@dataclass(frozen=True, slots=True)
class Settled:
    """What a workspace is scored by: the primary metric's name, and why it is not its domain's ("")."""

    primary: str
    why: str


@changes("choose what decides", least="own")
def settle(ws: Workspace) -> Settled:
    """Let chrF be the primary metric exactly where the domain's own cannot be told of these replies.

    Side effect: workspace.json says so. Called after data came in and after another scorer was chosen.
    """
    config = ws.read_config()
    own = metrics.own_primary(ws)
    why = _fault(ws, own)
    kept = {key: value for key, value in config.items() if key != PRIMARY}
    wanted = {**kept, PRIMARY: FALLBACK} if why else kept
    if wanted != config:
        write_json(ws.config, wanted)
    return Settled(FALLBACK if why else own.name, why)


def _fault(ws: Workspace, metric: Metric) -> str:
    """Why a metric cannot decide here; "" where it can."""
    if metric.of_embeddings is not None:
        try:
            found = reading(ws)
        except EngineError as error:
            return error.message
        return "" if found is None or found.is_trusted else found.words
    if metric.of_texts is None:
        return ""
    told = {one: metric.of_texts(one, one) is not None for one in judged_replies(ws)}
    if sum(told.values()) < _LEAST_DEFINED * len(told):
        return f"{metric.label} is defined for {percent(sum(told.values()) / len(told))} of the replies."
    held = judged_by_persona(ws)
    having = sum(any(told.get(one, True) for one in replies) for replies in held.values())
    if having < _LEAST_DEFINED * len(held):
        return f"{metric.label} is defined for {having} of {count(len(held), 'persona')}."
    return ""


@changes("choose another scorer", least="own")
def choose(ws: Workspace, name: str) -> Encoder:
    """Let another sentence encoder score from now on, by hub id or folder; return it.

    Scores by another one stay, under their own protocol. Raises EngineError for one that cannot be used, and
    while runs wait or work.
    """
    refuse_while_busy(ws, "The scorer")
    encoder = named(name)
    config = {key: value for key, value in ws.read_config().items() if key != SETTING}
    told = str(encoder.folder) if "/" in name and encoder.folder.is_dir() and not _is_hub(name) else name
    write_json(ws.config, config if name == SCORER else {**config, SETTING: told})
    settle(ws)
    return encoder


def _is_hub(name: str) -> bool:
    from engine.core.base_folder import local_base

    return local_base(name) is None


def retrieves_blindly(ws: Workspace, spec: RunSpec) -> Outlook:
    """Say before a launch that memories would be chosen by a likeness that says nothing of these texts."""
    if spec.parameters.get("retriever") != SIMILARITY:
        return Outlook()
    try:
        found = reading(ws)
    except (EngineError, OSError):  # doctor and init tell of a scorer that is not there
        return Outlook()
    if found is None or found.is_trusted:
        return Outlook()
    return Outlook((f"{found.words} Memories are chosen by it; by shared words: --set retriever=bm25",))


def warning(ws: Workspace, metric: Metric) -> str:
    """What a reader of a table in this metric must know of the scorer; "" where it reads all it needs."""
    if metric.of_embeddings is None:
        return ""
    try:
        found = reading(ws)
    except (EngineError, OSError):  # published scores have no dialogues; who scores is told by doctor
        return ""
    if found is None or not found.words:
        return ""
    trust = "" if found.is_trusted else f" Do not trust {metric.named} here: {METRICS[FALLBACK].label} does."
    return f"{found.words}{trust} {REMEDY}"
