"""What variants said to one persona, example by example, and what of it is right, wrong, missing or extra.

Owns the marks: they are read by the same grammar as the metrics, so a mark and a score never disagree.
Equal replies are one entry with all who gave them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from engine.core.types import Dialogue
from engine.domains.smart_home.actions import Actions, Setting, extract

Kind = Literal["right", "other", "missing", "extra"]
Row = Mapping[Hashable, Any]  # one of the store's example rows
_KINDS: tuple[Kind, ...] = ("right", "other", "missing", "extra")


@dataclass(frozen=True, slots=True)
class Finding:
    """One device or value of a reply held against the reference. `words` are for people."""

    kind: Kind
    words: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a reply's text; `kind` is "" where it states no value."""

    text: str
    kind: Kind | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One distinct reply, and the variants that gave it. `score` and `delta` are in the metric's unit."""

    variants: tuple[str, ...]
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
    """One example: what was said before, the reference with its settings, every reply, what was retrieved."""

    example_id: str
    dialogue_id: str
    turn: int
    meta: Mapping[str, Any]
    context: tuple[tuple[str, str], ...]
    reference: str
    settings: tuple[str, ...]
    replies: tuple[Reply, ...]
    memories: tuple[Memory, ...]


def answered(
    rows: pd.DataFrame, dialogues: Iterable[Dialogue], *, metric: str, reference: str
) -> list[Answered]:
    """Return a persona's examples in time, each with every distinct reply, the best score first.

    `rows` are the store's example rows of one persona; `metric` is one of their columns and `reference` the
    variant that differences are against.
    """
    known = {dialogue.dialogue_id: dialogue for dialogue in dialogues}
    examples: dict[str, list[Row]] = {}
    for row in rows.to_dict("records"):
        examples.setdefault(str(row["example_id"]), []).append(row)
    found = [
        _answered(example_id, group, known, metric=metric, reference=reference)
        for example_id, group in examples.items()
    ]
    order = {name: dialogue.order for name, dialogue in known.items()}
    return sorted(found, key=lambda one: (order.get(one.dialogue_id, 0), one.dialogue_id, one.turn))


def held_against(said: Actions, held: Actions) -> tuple[Finding, ...]:
    """Return what a reply does, held against what the reference does: right, other value, missing, extra.

    A device without any setting on either side is told by its name alone.
    """
    findings = []
    for setting in sorted(held.settings, key=_place):
        others = [one for one in said.settings if _target(one) == _target(setting)]
        if setting in said.settings:
            findings.append(Finding("right", words(setting)))
        elif others:
            stated = " and ".join(sorted(_value(one) for one in others))
            findings.append(Finding("other", f"{_name(setting)} {stated}, not {_value(setting)}"))
        else:
            findings.append(Finding("missing", words(setting)))
    targets = {_target(setting) for setting in held.settings}
    extras = [one for one in said.settings if _target(one) not in targets]
    findings += [Finding("extra", words(one)) for one in sorted(extras, key=_place)]
    told = {setting.device for setting in (*held.settings, *said.settings)}
    for device in sorted((held.devices | said.devices) - told):
        kind: Kind = (
            "right"
            if device in held.devices & said.devices
            else "missing"
            if device in held.devices
            else "extra"
        )
        findings.append(Finding(kind, _device(device)))
    return tuple(sorted(findings, key=lambda one: _KINDS.index(one.kind)))


def pieces(text: str, said: Actions, held: Actions) -> tuple[Piece, ...]:
    """Return a reply cut where it states a value that is right, another one, or extra.

    A value that stands for several settings of different kinds is not marked: its words alone do not tell.
    """
    marks: dict[str, set[Kind]] = {}
    targets = {_target(setting) for setting in held.settings}
    for setting in said.settings:
        if setting.is_number or (isinstance(setting.value, str) and setting.value not in ("on", "off")):
            kind: Kind = (
                "right" if setting in held.settings else "other" if _target(setting) in targets else "extra"
            )
            marks.setdefault(_value(setting), set()).add(kind)
    certain = {value.lower(): kinds.pop() for value, kinds in marks.items() if len(kinds) == 1}
    if not certain:
        return (Piece(text),)
    values = "|".join(re.escape(value) for value in sorted(certain, key=len, reverse=True))
    cut = re.split(rf"(?<![\w.])({values})(?![\w]|\.\d)", text, flags=re.IGNORECASE)
    return tuple(
        Piece(part, certain[part.lower()] if place % 2 else "") for place, part in enumerate(cut) if part
    )


def words(setting: Setting) -> str:
    """Word a setting: "Lights brightness 40", "AC mode heat", "TV on", "Security armed"."""
    if setting.parameter == "power":
        return f"{_device(setting.device)} {_value(setting)}"
    if isinstance(setting.value, bool):
        parameter = setting.parameter.replace("_", " ")
        return f"{_device(setting.device)} {'' if setting.value else 'not '}{parameter}"
    return f"{_name(setting)} {_value(setting)}"


def _answered(
    example_id: str, group: Sequence[Row], known: Mapping[str, Dialogue], *, metric: str, reference: str
) -> Answered:
    first = group[0]
    held = extract(first["reference"])
    dialogue = known.get(first["dialogue_id"])
    before = dialogue.messages[: int(first["turn"])] if dialogue else ()
    return Answered(
        example_id=example_id,
        dialogue_id=str(first["dialogue_id"]),
        turn=int(first["turn"]),
        meta=dialogue.meta if dialogue else {},
        context=tuple((message.role, message.text) for message in before),
        reference=str(first["reference"]),
        settings=tuple(words(setting) for setting in sorted(held.settings, key=_place)),
        replies=_replies(group, held, metric=metric, reference=reference),
        memories=_memories(group),
    )


def _replies(group: Sequence[Row], held: Actions, *, metric: str, reference: str) -> tuple[Reply, ...]:
    scores = {str(row["variant"]): _known(row[metric]) for row in group}
    against = scores.get(reference)
    equal: dict[str, list[Row]] = {}
    for row in group:
        equal.setdefault(str(row["reply"]), []).append(row)
    found = []
    for text, rows in equal.items():
        names = tuple(str(row["variant"]) for row in rows)
        said, score, tokens = extract(text), scores[names[0]], rows[0]["reply_tokens"]
        found.append(
            Reply(
                variants=names,
                pieces=pieces(text, said, held),
                findings=held_against(said, held),
                score=score,
                delta=None if score is None or against is None else score - against,
                tokens=None if pd.isna(tokens) else int(tokens),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.score is None, -(one.score or 0.0), one.variants)))


def _memories(group: Sequence[Row]) -> tuple[Memory, ...]:
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


def _target(setting: Setting) -> tuple[str, str]:
    return setting.device, setting.parameter


def _place(setting: Setting) -> tuple[str, str, str]:
    return setting.device, setting.parameter, str(setting.value)


def _name(setting: Setting) -> str:
    return f"{_device(setting.device)} {setting.parameter.replace('_', ' ')}"


def _device(name: str) -> str:
    return name.upper() if len(name) == 2 else name.replace("_", " ").capitalize()


def _value(setting: Setting) -> str:
    if isinstance(setting.value, bool):
        return "yes" if setting.value else "no"
    if isinstance(setting.value, float):
        return f"{setting.value:g}"
    return setting.value
