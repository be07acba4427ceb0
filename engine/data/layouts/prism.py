"""The reader of PRISM: conversations.jsonl, with several replies a turn, and the survey of its people beside
it.

Owns that the chosen reply is the reply, and that what a person said of herself is her character. Scores,
choices and feedback are left out. Layout: Kirk et al., The PRISM Alignment Dataset, arXiv 2404.16019.
"""

from pathlib import Path
from typing import Any

from engine.data.assemble import Draft, Imported
from engine.data.layouts.gathered import Gathered, identifier, rows_of
from engine.data.layouts.layout import Sample, beside
from engine.data.mapping import Mapping
from engine.data.when import found_in

SURVEY = "survey.jsonl"
_TURNS = "conversation_history"


def recognises(sample: Sample) -> bool:
    """Say whether a file is PRISM's conversations."""
    return {"conversation_id", "user_id", _TURNS} <= sample.keys


def read_prism(samples: tuple[Sample, ...], mapping: Mapping) -> Imported:
    """Return the people of PRISM, in the order in which their conversations are numbered."""
    gathered = Gathered()
    (sample,) = samples
    characters = _survey(sample.path.parent, mapping.encoding, gathered)
    for line, row in rows_of(sample.path, mapping.encoding, gathered):
        problems: list[str] = []
        user = identifier(row.get("user_id"), "user_id", problems)
        session = identifier(row.get("conversation_id"), "conversation_id", problems)
        said = _chosen(row.get(_TURNS), gathered)
        messages = gathered.turns.read(said, problems, where=_TURNS)
        gathered.wrong(sample.path.name, line, *problems, *gathered.turns.taken_odd())
        if problems or user is None or session is None:
            continue
        gathered.person(user, characters.get(user))
        when = found_in(row)
        gathered.drafts.append(Draft(user, session, messages, {}, sample.path.name, line, when=when))
    return gathered.imported("prism", ids_tell=True, dates=mapping.dates)


def _chosen(value: Any, gathered: Gathered) -> Any:
    """Leave of each turn's replies the chosen one (the first, where none was)."""
    if not isinstance(value, list):
        return value
    replies: dict[Any, list[dict[str, Any]]] = {}
    for turn in value:
        if isinstance(turn, dict) and turn.get("role") == "model":
            replies.setdefault(str(turn.get("turn")), []).append(turn)
    kept = {
        id(next((one for one in held if _is_chosen(one.get("if_chosen"))), held[0]))
        for held in replies.values()
    }
    found = [
        turn
        for turn in value
        if not (isinstance(turn, dict) and turn.get("role") == "model") or id(turn) in kept
    ]
    gathered.turns.counts["unchosen"] += len(value) - len(found)
    return found


def _is_chosen(value: Any) -> bool:
    """Whether a mark says so: true, or what becomes of it on the way through a table."""
    return str(value).strip().lower() in ("true", "1", "1.0")


def _survey(folder: Path, encoding: str, gathered: Gathered) -> dict[str, str]:
    """What each person said of herself, where the survey lies beside."""
    path = beside(folder, SURVEY)
    if path is None:
        return {}
    return {
        user: row["self_description"]
        for _, row in rows_of(path, encoding, gathered)
        if isinstance(row.get("self_description"), str)
        and (user := identifier(row.get("user_id"), "user_id", [])) is not None
    }
