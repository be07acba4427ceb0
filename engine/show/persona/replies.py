"""What variants said to one persona, example by example, and what of it is right, wrong, missing or extra.

The marks are of the domain's one judge, so a mark and a score never disagree. Equal replies are one entry
with all who gave them.
"""

import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import pandas as pd

from engine.core.types import Dialogue
from engine.domains.acts import Act, Finding, Piece, findings, pieces
from engine.domains.domain import Domain
from engine.domains.kinds import KINDS, kind_of

Kept = Mapping[Hashable, Any]  # one of the store's example rows


@dataclass(frozen=True, slots=True)
class Reply:
    """One distinct reply, and the variants that gave it. `score` and `delta` are in the metric's unit.

    `kind` words what kind of miss it is, "" for the right reply; `words` weave it into the right one.
    """

    variants: tuple[str, ...]
    text: str
    kind: str
    words: "tuple[Stretch, ...]"
    pieces: tuple[Piece, ...]
    findings: tuple[Finding, ...]
    score: float | None
    delta: float | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Memory:
    """One earlier interaction that was put into the prompt of some variants."""

    request: str
    reply: str
    similarity: float | None
    example_id: str
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """One example: what was said before, the reference and what it does, every reply, what was retrieved."""

    example_id: str
    persona_id: str
    dialogue_id: str
    turn: int
    meta: Mapping[str, Any]
    context: tuple[tuple[str, str], ...]
    reference: str
    acts: tuple[str, ...]
    replies: tuple[Reply, ...]
    memories: tuple[Memory, ...]


def answered(
    rows: pd.DataFrame, dialogues: Iterable[Dialogue], domain: Domain, *, metric: str, reference: str
) -> list[Answered]:
    """Return a persona's examples in time, each with every distinct reply, the best score first.

    `rows` are the store's example rows of one persona; `metric` is one of their columns and `reference` the
    variant that differences are against.
    """
    known = {dialogue.dialogue_id: dialogue for dialogue in dialogues}
    examples: dict[str, list[Kept]] = {}
    for row in rows.to_dict("records"):
        examples.setdefault(str(row["example_id"]), []).append(row)
    found = [
        _answered(example_id, group, known, domain, metric=metric, reference=reference)
        for example_id, group in examples.items()
    ]
    order = {name: dialogue.order for name, dialogue in known.items()}
    return sorted(found, key=lambda one: (order.get(one.dialogue_id, 0), one.dialogue_id, one.turn))


def _answered(
    example_id: str,
    group: Sequence[Kept],
    known: Mapping[str, Dialogue],
    domain: Domain,
    *,
    metric: str,
    reference: str,
) -> Answered:
    first = group[0]
    held = domain.acts(str(first["reference"]))
    dialogue = known.get(first["dialogue_id"])
    before = dialogue.messages[: int(first["turn"])] if dialogue else ()
    return Answered(
        example_id=example_id,
        persona_id=str(first["persona_id"]),
        dialogue_id=str(first["dialogue_id"]),
        turn=int(first["turn"]),
        meta=dialogue.meta if dialogue else {},
        context=tuple((message.role, message.text) for message in before),
        reference=str(first["reference"]),
        acts=tuple(act.words for act in held if act.aspect),
        replies=_replies(group, held, domain, metric=metric, reference=reference),
        memories=_memories(group),
    )


def _replies(
    group: Sequence[Kept], held: Sequence[Act], domain: Domain, *, metric: str, reference: str
) -> tuple[Reply, ...]:
    scores = {str(row["variant"]): _known(row[metric]) for row in group}
    against, right = scores.get(reference), str(group[0]["reference"])
    equal: dict[str, list[Kept]] = {}
    for row in group:
        equal.setdefault(str(row["reply"]), []).append(row)
    found = []
    for text, rows in equal.items():
        names = tuple(str(row["variant"]) for row in rows)
        said, score, tokens = domain.acts(text), scores[names[0]], rows[0]["reply_tokens"]
        found.append(
            Reply(
                variants=names,
                text=text,
                kind=KINDS.get(kind_of(domain, text, right), ""),
                words=word_by_word(text, right),
                pieces=pieces(text, said, held),
                findings=findings(said, held),
                score=score,
                delta=None if score is None or against is None else score - against,
                tokens=None if pd.isna(tokens) else int(tokens),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.score is None, -(one.score or 0.0), one.variants)))


def _memories(group: Sequence[Kept]) -> tuple[Memory, ...]:
    """What was retrieved, each interaction once with all variants that were shown it, the nearest first."""
    shown: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for row in group:
        for entry in _listed(row["retrieved"]):
            key = str(entry.get("example_id") or entry.get("request"))
            shown.setdefault(key, (entry, []))[1].append(str(row["variant"]))
    found = [
        Memory(
            request=str(entry.get("request", "")),
            reply=str(entry.get("reply", "")),
            similarity=entry.get("similarity"),
            example_id=str(entry.get("example_id", "")),
            variants=tuple(names),
        )
        for entry, names in shown.values()
    ]
    return tuple(sorted(found, key=lambda one: (-(one.similarity or 0.0), one.example_id)))


def _listed(text: Any) -> Sequence[dict[str, Any]]:
    if not isinstance(text, str):
        return ()
    found = json.loads(text)
    return found if isinstance(found, list) else ()


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


Side = Literal["both", "added", "lacking"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words that stand together: in both replies, only in the reply, or only in the right one."""

    text: str
    side: Side


def word_by_word(reply: str, right: str) -> tuple[Stretch, ...]:
    """Return the reply and the right one woven into each other; the words of either side are all there."""
    said, wanted = re.findall(r"\S+", reply), re.findall(r"\S+", right)
    woven: list[Stretch] = []
    for kind, begin, end, first, last in SequenceMatcher(None, wanted, said, autojunk=False).get_opcodes():
        if kind == "equal":
            woven.append(Stretch(" ".join(said[first:last]), "both"))
            continue
        if begin < end:
            woven.append(Stretch(" ".join(wanted[begin:end]), "lacking"))
        if first < last:
            woven.append(Stretch(" ".join(said[first:last]), "added"))
    return tuple(woven)
