"""The reader of any table: a dialogue, a turn, or a question with its reply a row, by a mapping of its
columns.

Owns how rows become dialogues once each part has its column. Refuses a table that names no user, and says
which column is missing; an id that cannot be part of a file's name is written another way, and still one
person's.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError, Fault, unknown_name
from engine.core.types import Message, Persona, Role
from engine.data.assemble import Draft, Imported, assemble, refuse_too_many
from engine.data.layouts.branches import beginnings, followed
from engine.data.layouts.layout import Sample
from engine.data.lines import absent_or_kind, kind_of
from engine.data.mapping import (
    PLACES,
    Mapping,
    columns_of,
    columns_used,
    complete,
    named_split,
    parts_of,
    speakers_of,
    split_of,
    turns_in,
    value_at,
)
from engine.data.packed import stem_of
from engine.data.rows import read_rows
from engine.data.schema import BAD_ID, MAX_ID_LENGTH, is_number, read_character, shorten
from engine.data.turns import Speech, Turns, role_of
from engine.data.when import Days, days_of, found_in, read_time

_ALL_BUT_HER = "*"
_ROUNDED = re.compile(r"\d(\.\d+)?[eE]\+\d+")
_MOST_EXACT = 2**53
_WHO_ANSWERS = " (say who answers: --map assistant=NAME)"
_OF_FILES = ", or user=_file where each file is one person's"
_NOBODY = frozenset({"nan", "null", "none", "nat", "<na>"})


@dataclass(slots=True)
class Gathered:
    """What a reader has gathered so far: personas with their texts, dialogues, faults, and what turns
    became.
    """

    turns: Turns = field(default_factory=Turns)
    characters: dict[str, str | None] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def wrong(self, file: str, line: int, *problems: str) -> None:
        """Note problems of a row. Raises DataError where there are far too many."""
        self.faults.extend(Fault(file, line, problem) for problem in problems)
        refuse_too_many(self.faults, file)

    def person(self, persona_id: str, character: Any = None) -> None:
        """Note a person, and the first text that says something of her."""
        text = read_character(character, [])
        self.characters[persona_id] = self.characters.get(persona_id) or text

    def imported(self, layout: str, *, ids_tell: bool, dates: str = "") -> Imported:
        """Return all of it as a dataset."""
        personas = [Persona(name, character) for name, character in self.characters.items()]
        return assemble(
            layout,
            personas,
            self.drafts,
            self.faults,
            counts=self.turns.counts,
            ids_tell=ids_tell,
            dates=dates,
        )


def recognises(sample: Sample) -> bool:
    """Say whether a table's columns can be guessed: what was said, at least."""
    return _form(complete(Mapping(), (sample,))) is not None


def read_mapped(samples: tuple[Sample, ...], given: Mapping, *, layout: str = "table") -> Imported:
    """Return the personas of a table, or of its parts in several files. Raises EngineError without a user."""
    mapping = complete(given, samples)
    _refuse_nameless(mapping, samples)
    gathered = Gathered(Turns(_speech(mapping)))
    rows = _rows(samples, mapping, gathered)
    if _form(mapping) == "turns":
        _read_turns(rows, mapping, gathered)
    else:
        for file, line, split, row in rows:
            _read_dialogue(row, mapping, gathered, file=file, line=line, split=split)
    _refuse_silent(mapping, gathered, samples)
    imported = gathered.imported(layout, ids_tell=bool(mapping.session), dates=mapping.dates)
    return replace(imported, mapping=mapping.as_json())


def _refuse_silent(mapping: Mapping, gathered: Gathered, samples: Sequence[Sample]) -> None:
    """Raise EngineError where nobody is called as the one who is said to answer."""
    spoken = {message.role for draft in gathered.drafts for message in draft.messages}
    if not mapping.assistant or not spoken or "assistant" in spoken:
        return
    names = speakers_of([row for sample in samples for row in sample.rows], mapping)
    error = unknown_name("speaker", mapping.assistant, names)
    raise EngineError(
        f"{samples[0].path.name}: {error.message[:-1]} (--map assistant={mapping.assistant}).", error.hint
    )


def _speech(mapping: Mapping) -> Speech:
    within = not mapping.output and bool(mapping.messages)
    return Speech(
        mapping.role if within else "",
        mapping.text if within else "",
        mapping.assistant,
        not mapping.drops_system,
        _WHO_ANSWERS,
    )


def _form(mapping: Mapping) -> str | None:
    """What a row of the table is; None where nothing holds what was said."""
    if mapping.messages:
        return "dialogues"
    if mapping.input and mapping.output:
        return "pairs"
    return "turns" if mapping.role and mapping.text else None


def _refuse_nameless(mapping: Mapping, samples: Sequence[Sample]) -> None:
    rows = [row for sample in samples for row in sample.rows]
    columns = columns_of(rows)
    file, held = samples[0].path.name, ", ".join(columns[:12]) or "none that can be read"
    form = _form(mapping)
    if form is None:
        raise EngineError(
            f"{file}: no column holds what was said. Its columns: {held}.",
            "Name a list of turns (--map messages=COLUMN), a question and its reply (--map"
            " input=A,output=B), or"
            " who speaks and what is said (--map role=A,text=B). A table's first line names its columns.",
        )
    if not mapping.user:
        raise EngineError(
            f"{file} names no user: which column tells whose a dialogue is? Its columns: {held}.",
            f"Name it: --map user=COLUMN{_OF_FILES if len(samples) > 1 else ''}",
        )
    if form == "turns" and not mapping.session and not (mapping.parent and mapping.turn):
        raise EngineError(
            f"{file} holds a turn a row: which column tells what dialogue it belongs to? Its"
            f" columns: {held}.",
            "Name it: --map session=COLUMN, or the turns' ids and those that they answer: --map"
            " turn=COLUMN,parent=COLUMN",
        )


_Row = tuple[str, int, str, dict[str, Any]]


def _rows(samples: Sequence[Sample], mapping: Mapping, gathered: Gathered) -> Iterator[_Row]:
    """Yield (file, line, split, row) of every row that can be read; of one name in two folders, with the
    folder's.
    """
    shared = Counter(sample.path.name for sample in samples)
    placed = not columns_used(mapping).isdisjoint(PLACES)
    for sample in samples:
        name = sample.path.name
        file = f"{sample.path.parent.name}-{name}" if shared[name] > 1 else name
        by_name = split_of(sample.path) if len(samples) > 1 else ""
        where = dict(zip(PLACES, (sample.stem, sample.path.parent.name), strict=True)) if placed else {}
        for number, held in rows_of(sample.path, mapping.encoding, gathered):
            row = {**held, **where}
            told = value_at(row, mapping.split)
            if told is not None and not named_split(told):
                problem = f"{mapping.split}: {shorten(told)} is not one of train, val, test"
                gathered.wrong(file, number, problem)
            else:
                yield file, number, named_split(told) or by_name, row


# --- a dialogue, or a question with its reply, a row


def _read_dialogue(
    row: dict[str, Any], mapping: Mapping, gathered: Gathered, *, file: str, line: int, split: str
) -> None:
    problems: list[str] = []
    user = identifier(value_at(row, mapping.user), mapping.user, problems)
    session = session_of(row, mapping, (file, line), problems)
    messages = _messages(row, mapping, gathered.turns, problems)
    gathered.wrong(file, line, *problems, *gathered.turns.taken_odd())
    if problems or user is None or session is None:
        return
    gathered.person(user, value_at(row, mapping.character))
    gathered.drafts.append(
        Draft(user, session, messages, _meta(row, mapping), file, line, when=_when(row, mapping), split=split)
    )


def _when(row: dict[str, Any], mapping: Mapping) -> Any:
    """The date of a dialogue: its row's, else that of its first turn."""
    if mapping.time:
        return value_at(row, mapping.time)
    first = next(iter(turns_in(value_at(row, mapping.messages)) or ()), None)
    return found_in(first) if isinstance(first, dict) else None


def _messages(
    row: dict[str, Any], mapping: Mapping, turns: Turns, problems: list[str]
) -> tuple[Message, ...]:
    before = _system(row, mapping, turns)
    if not mapping.messages:
        history = [said for pair in turns_in(row.get("history")) or () for said in _pair(pair, turns)]
        asked = _spoken(row, parts_of(mapping, "input"), "user", turns, problems)
        reply = _spoken(row, (mapping.output,), "assistant", turns, problems)
        return turns.tidied([*before, *history, *asked, *reply])
    value = value_at(row, mapping.messages)
    if isinstance(value, str):
        found = turns_in(value)
        if found is None:
            problems.append(
                f"{mapping.messages}: is text, and not the JSON of a list, nor turns that begin with"
                " Human: and Assistant:"
            )
            return ()
        value = found
    if isinstance(value, list) and value and all(isinstance(pair, list) for pair in value):
        return turns.tidied([*before, *(said for pair in value for said in _pair(pair, turns))])
    return turns.tidied([*before, *turns.read(value, problems, where=mapping.messages)])


def _spoken(
    row: dict[str, Any], columns: Sequence[str], role: Role, turns: Turns, problems: list[str]
) -> Sequence[Message]:
    """What some columns say in one role; where they hold turns, these say who speaks."""
    if any(isinstance(value_at(row, column), list) for column in columns):
        found = [turns.read(value_at(row, column), problems, where=column) for column in columns]
        return [said for messages in found for said in messages]
    return turns.said(role, "\n".join(text for column in columns if (text := _text(row, column, problems))))


def _system(row: dict[str, Any], mapping: Mapping, turns: Turns) -> list[Message]:
    value = None if mapping.drops_system else value_at(row, mapping.system)
    if not isinstance(value, str) or not value.strip():
        return []
    turns.counts["system"] += 1
    return [Message("system", value.strip())]


def _pair(pair: Any, turns: Turns) -> list[Message]:
    """A question and its reply, as LLaMA-Factory's histories hold them."""
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
        turns.counts["empty"] += 1
        return []
    return [*turns.said("user", pair[0]), *turns.said("assistant", pair[1])]


def _text(row: dict[str, Any], column: str, problems: list[str]) -> str:
    value = value_at(row, column)
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        problems.append(f"{column}: must be text, is {kind_of(value)}")
        return ""
    return value.strip()


def _meta(row: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    found = {column: value_at(row, column) for column in parts_of(mapping, "meta")}
    return {column: value for column, value in found.items() if value is not None}


# --- a turn a row


@dataclass(frozen=True, slots=True)
class _Turn:
    user: Any
    role: str
    text: str
    place: float | None
    when: Any
    character: Any
    meta: dict[str, Any]
    line: int
    split: str
    own: str = ""
    parent: str = ""
    rank: float | None = None

    @property
    def person(self) -> str:
        return _plain(self.user)


def _read_turns(rows: Iterator[_Row], mapping: Mapping, gathered: Gathered) -> None:
    """Gather the turns of each dialogue: along one branch where they name what they answer, else oldest first
    where all of its turns are dated.
    """
    sessions: dict[tuple[str, str], list[_Turn]] = defaultdict(list)
    apart: dict[str, list[_Turn]] = defaultdict(list)
    for file, line, split, row in rows:
        problems: list[str] = []
        session = session_of(row, mapping, (file, line), problems)
        turn = _turn(row, mapping, problems, line=line, split=split)
        if problems or session is None or turn is None:
            gathered.wrong(file, line, *problems)
        elif mapping.session:
            sessions[file, session].append(turn)
        else:
            apart[file].append(turn)
    for file, turns in apart.items():
        begun = beginnings(turns)
        for turn in turns:
            sessions[file, identifier(begun[turn.own], mapping.turn, []) or ""].append(turn)
    days = days_of((turn.when for turns in sessions.values() for turn in turns), mapping.dates)
    for (file, session), held in sessions.items():
        if branch := followed(held):
            gathered.turns.counts["branches"] += len(held) - len(branch)
            _read_session(session, branch, mapping, gathered, file=file)
            continue
        for turns in _of_each(held, session, mapping, gathered, file=file):
            _read_session(session, _oldest_first(turns, days), mapping, gathered, file=file)


def _of_each(
    turns: list[_Turn], session: str, mapping: Mapping, gathered: Gathered, *, file: str
) -> list[list[_Turn]]:
    """Part the turns under one id where each person numbers her own dialogues, and every turn names her.

    Where several people speak and some turn names none of them, whose it is cannot be known: a fault.
    """
    people = dict.fromkeys(turn.person for turn in turns if turn.role == "user")
    if len(people) < 2:
        return [turns]
    parted: dict[str, list[_Turn]] = {one: [] for one in people}
    for turn in turns:
        if turn.person not in parted:
            named = ", ".join(shorten(one) for one in list(people)[:3])
            gathered.wrong(
                file,
                turn.line,
                f"{mapping.session}: {session} is a dialogue of several people ({named}), and this turn names"
                f" none of them in {mapping.user}; number dialogues so that no two people share one",
            )
            return []
        parted[turn.person].append(turn)
    return list(parted.values())


def _plain(user: Any) -> str:
    return identifier(user, "", []) or ""


def _turn(
    row: dict[str, Any], mapping: Mapping, problems: list[str], *, line: int, split: str
) -> _Turn | None:
    name, user = value_at(row, mapping.role), value_at(row, mapping.user)
    spoken = str(name) if isinstance(name, str | int) else ""  # "inbound" is true or false
    if mapping.assistant == _ALL_BUT_HER:
        role = "user" if spoken and spoken == str(user) else role_of(spoken, spoken)
    else:
        role = role_of(spoken, mapping.assistant) if spoken else None
    if role is None:
        problems.append(
            f"{mapping.role}: {shorten(name)} is not one of user, assistant, system{_WHO_ANSWERS}"
        )
    text = _text(row, mapping.text, problems)
    if problems:
        return None
    when, character = value_at(row, mapping.time), value_at(row, mapping.character)
    own, parent = _plain(value_at(row, mapping.turn)), _plain(value_at(row, mapping.parent))
    place, rank = _number(None if parent else value_at(row, mapping.turn)), _number(row.get("rank"))
    meta = _meta(row, mapping)
    return _Turn(user, str(role), text, place, when, character, meta, line, split, own, parent, rank)


def _number(value: Any) -> float | None:
    """Where a turn stands in its dialogue, None where that is no number."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:15])
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _oldest_first(turns: list[_Turn], days: Days) -> list[_Turn]:
    """Put the turns of a dialogue in order: by their numbers, else by their dates, else as they stand."""
    numbers = [turn.place for turn in turns]
    times = numbers if None not in numbers else [read_time(turn.when, days) for turn in turns]
    if any(time is None for time in times):
        return turns
    newest_first = times == sorted(times, reverse=True, key=lambda time: time or 0.0) and len(set(times)) > 1
    placed = [(time or 0.0, -place if newest_first else place) for place, time in enumerate(times)]
    return [turns[place] for place in sorted(range(len(turns)), key=placed.__getitem__)]


def _read_session(
    session: str, turns: list[_Turn], mapping: Mapping, gathered: Gathered, *, file: str
) -> None:
    """The person is who the user's turns name; one table may name the agent in the others."""
    first = min(turns, key=lambda turn: turn.line)
    named = next((turn.user for turn in turns if turn.role == "user" and turn.user is not None), None)
    if named is None:
        named = next((turn.user for turn in turns if turn.user is not None), None)
    problems: list[str] = []
    user = identifier(named, mapping.user, problems)
    if user is None:
        gathered.wrong(file, first.line, *problems)
        return
    messages: list[Message] = []
    for turn in turns:
        if turn.role == "tool" or (turn.role == "system" and mapping.drops_system):
            gathered.turns.counts[turn.role] += 1
        else:
            said = gathered.turns.said(turn.role, turn.text)  # type: ignore[arg-type]
            gathered.turns.counts["system"] += turn.role == "system" and bool(said)
            messages += said
    gathered.person(user, first.character)
    made = gathered.turns.tidied(messages)
    splits = sorted({turn.split for turn in turns if turn.split})
    if len(splits) > 1:
        gathered.wrong(
            file, first.line, f"{mapping.split}: the dialogue {session} is in {' and '.join(splits)}"
        )
        return
    meta, split = first.meta, "".join(splits)
    when = turns[0].when
    gathered.drafts.append(Draft(user, session, made, meta, file, first.line, when=when, split=split))


# --- ids


def identifier(value: Any, column: str, problems: list[str]) -> str | None:
    """Return what names a person or a dialogue: text or a whole number, written so that a file may bear it.

    What no file's name may hold becomes "-", followed by six digits of the text's hash, so that two stay two.
    "7.0" is 7: a column of whole numbers in which one is missing is written so.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT:
        value = int(value)
    if (isinstance(value, float) and abs(value) >= _MOST_EXACT) or (
        isinstance(value, str) and _ROUNDED.fullmatch(value.strip())
    ):
        problems.append(f"{column}: {value} was rounded, and may stand for several: export it as text")
        return None
    if value is None or isinstance(value, bool) or not isinstance(value, str | int):
        problems.append(f"{column}: must be text or a whole number, is {absent_or_kind(value)}")
        return None
    text = str(value).strip()
    if not text:
        problems.append(f"{column}: empty")
        return None
    if text.lower() in _NOBODY:
        problems.append(f"{column}: {text!r} is what programs write where nothing stands: it names none")
        return None
    text = text.removesuffix(".0") if is_number(text.removesuffix(".0")) else text
    if not BAD_ID.search(text) and len(text.encode("utf-8")) <= MAX_ID_LENGTH:
        return text
    digits = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    plain = BAD_ID.sub("-", text).encode("utf-8", "ignore")[: MAX_ID_LENGTH - 10].decode("utf-8", "ignore")
    return f"{plain.strip(' .')}-{digits}"


def session_of(
    row: dict[str, Any], mapping: Mapping, where: tuple[str, int], problems: list[str]
) -> str | None:
    """Return a dialogue's id; of one that has none, its file and row (`where`), which tell no order."""
    if not mapping.session:
        return identifier(f"{stem_of(Path(where[0]))}-{where[1]:06d}", "file", problems)
    found = identifier(value_at(row, mapping.session), mapping.session, problems)
    return found.zfill(4) if found is not None and is_number(found) else found


def rows_of(path: Path, encoding: str, gathered: Gathered) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a file that can be read, with their numbers; the others are faults."""
    for line in read_rows(path, encoding):
        if line.value is None:
            gathered.wrong(path.name, line.number, line.fault)
        else:
            yield line.number, line.value
