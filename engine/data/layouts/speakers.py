"""The reader of talks between two people: LoCoMo's dated sessions, and MSC's and PersonaChat's numbered ones.

Owns that each speaker is a persona whose own lines are the replies, and the partner's what is replied to. So
one talk stands under both; its sessions keep their numbers, so that a split by time parts both at one place.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.data.assemble import Draft, Imported
from engine.data.layouts.layout import Sample
from engine.data.layouts.mapped import Gathered, identifier, rows_of
from engine.data.lines import kind_of
from engine.data.mapping import Mapping

_SESSION = re.compile(r"session_(\d{1,6})")
_TEXTS = ("text", "clean_text", "content", "message")


@dataclass(frozen=True, slots=True)
class _Talk:
    """One session of two speakers: who said what, in order."""

    number: int
    when: Any
    said: tuple[tuple[str, str], ...]


def recognises(sample: Sample) -> bool:
    """Say whether rows are talks of two speakers in numbered sessions, or MSC's with those before them."""
    return any(_has_sessions(_conversation(row)) or _is_msc(row) for row in sample.rows)


def read_speakers(samples: tuple[Sample, ...], mapping: Mapping) -> Imported:
    """Return both speakers of every talk as personas."""
    gathered = Gathered()
    for sample in samples:
        for line, row in rows_of(sample.path, mapping.encoding, gathered):
            _read_row(row, gathered, file=sample.path.name, line=line)
    return gathered.imported("speakers", ids_tell=True, dates=mapping.dates)


def _conversation(row: dict[str, Any]) -> dict[str, Any]:
    held = row.get("conversation")
    return held if isinstance(held, dict) else row


def _has_sessions(held: dict[str, Any]) -> bool:
    return any(_SESSION.fullmatch(key) and isinstance(value, list) for key, value in held.items())


def _is_msc(row: dict[str, Any]) -> bool:
    return isinstance(row.get("dialog"), list) and isinstance(row.get("previous_dialogs"), list)


def _read_row(row: dict[str, Any], gathered: Gathered, *, file: str, line: int) -> None:
    problems: list[str] = []
    talks = list(_msc(row, problems) if _is_msc(row) else _sessions(_conversation(row), problems))
    speakers = list(dict.fromkeys(speaker for talk in talks for speaker, _ in talk.said))
    if not problems and len(speakers) != 2:
        named = ", ".join(speakers[:5]) or "none"
        problems.append(f"the talk must be of two speakers, is of {len(speakers)} ({named[:80]})")
    given = row.get("sample_id", row.get("initial_data_id", row.get("_key")))
    talk_id = given if isinstance(given, str | int) and not isinstance(given, bool) else f"talk-{line:04d}"
    people = {one: identifier(f"{talk_id} {one}", "speaker", problems) for one in speakers}
    if problems:
        gathered.wrong(file, line, *problems)
        return
    for speaker, persona_id in people.items():
        if persona_id is None:
            continue
        gathered.person(persona_id, _character(row, speakers.index(speaker)))
        for talk in talks:
            said = [
                message
                for name, text in talk.said
                for message in gathered.turns.said("assistant" if name == speaker else "user", text)
            ]
            made = gathered.turns.tidied(said)
            session = f"session_{talk.number}"
            gathered.drafts.append(Draft(persona_id, session, made, {}, file, line, when=talk.when))


def _sessions(held: dict[str, Any], problems: list[str]) -> Iterator[_Talk]:
    """LoCoMo's: session_1, session_1_date_time, session_2 ..."""
    for key, value in held.items():
        found = _SESSION.fullmatch(key)
        if found and isinstance(value, list):
            said = tuple(
                _line(turn, f"{key}[{place}]", "speaker", problems) for place, turn in enumerate(value)
            )
            yield _Talk(int(found[1]), held.get(f"{key}_date_time"), said)


def _msc(row: dict[str, Any], problems: list[str]) -> Iterator[_Talk]:
    """MSC's: the sessions before it, whose speakers take turns, and its own."""
    previous = row["previous_dialogs"]
    for number, one in enumerate(previous, 1):
        turns = one.get("dialog") if isinstance(one, dict) else None
        if not isinstance(turns, list):
            problems.append(f"previous_dialogs[{number - 1}].dialog: must be a list")
            continue
        where = f"previous_dialogs[{number - 1}].dialog"
        told = [_line(turn, f"{where}[{place}]", "id", problems) for place, turn in enumerate(turns)]
        # They name no speaker, and alternate.
        said = tuple((name or f"Speaker {place % 2 + 1}", text) for place, (name, text) in enumerate(told))
        yield _Talk(number, None, said)
    own = tuple(_line(turn, f"dialog[{place}]", "id", problems) for place, turn in enumerate(row["dialog"]))
    yield _Talk(len(previous) + 1, None, own)


def _line(turn: Any, where: str, key: str, problems: list[str]) -> tuple[str, str]:
    if not isinstance(turn, dict):
        problems.append(f"{where}: must be an object, is {kind_of(turn)}")
        return "", ""
    text = next((turn[name] for name in _TEXTS if isinstance(turn.get(name), str)), "")
    name = turn.get(key)
    return (name.strip() if isinstance(name, str) else ""), text


def _character(row: dict[str, Any], place: int) -> Any:
    """MSC's lines about each speaker."""
    personas = row.get("personas")
    return personas[place] if isinstance(personas, list) and place < len(personas) else None
