"""The reader of the LaMP family: LaMP's questions and outputs, OPPU's histories and labels, LongLaMP's rows.

Owns that a person's history items are what is trained on, each a question with its reply by the task's
template, and that her queries are what is predicted. A query without a known answer (LaMP's own test files)
is a dialogue without a reply: it is neither trained on nor scored, and `export-predictions` answers it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.wording import count
from engine.data.assemble import Draft, Imported
from engine.data.layouts.gathered import Gathered, identifier, rows_of
from engine.data.layouts.layout import Sample, beside
from engine.data.layouts.tasks import BY_NAME, Task, task_asked, task_named, task_told
from engine.data.mapping import Mapping, split_of
from engine.data.packed import stem_of
from engine.data.when import found_in
from engine.domains.tasks import QUERY, TASK

_USERS = ("user_id", "name", "author", "reviewerId")
_A_YEAR = re.compile(r"(19|20)\d\d")
_PROFILES = re.compile(r"profile_user_\d+")


def is_lamp(sample: Sample) -> bool:
    """Say whether rows hold a query with a person's profile: LaMP's questions, or OPPU's histories."""
    named = {"id", "input", "profile"} <= sample.keys or {"user_id", "profile", "query"} <= sample.keys
    return named and _has_profiles(sample)


def is_longlamp(sample: Sample) -> bool:
    """Say whether rows hold a query, its answer and a profile: LongLaMP's."""
    return {"input", "output", "profile"} <= sample.keys and _has_profiles(sample)


def _has_profiles(sample: Sample) -> bool:
    """Whether a profile is a list of items, not a text about somebody."""
    return any(isinstance(row.get("profile"), list) for row in sample.rows)


@dataclass(slots=True)
class _Reading:
    """What is known while the files of one place are read."""

    task: Task
    gathered: Gathered = field(default_factory=Gathered)
    items: dict[str, set[str]] = field(default_factory=dict)
    unanswered: int = 0
    odd_items: int = 0
    odd_keys: frozenset[str] = frozenset()

    def notes(self) -> tuple[str, ...]:
        """What is worth saying of what was left out."""
        found = []
        if self.unanswered:
            found.append(
                f"{count(self.unanswered, 'query', 'queries')} without a known answer: never scored, answered"
                " by export-predictions."
            )
        if self.odd_items:
            found.append(
                f"{count(self.odd_items, 'history item')} without the fields of {self.task.name} left out."
            )
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Query:
    query_id: Any
    asked: Any
    answer: Any


def read_lamp(samples: tuple[Sample, ...], mapping: Mapping, *, layout: str = "lamp") -> Imported:
    """Return the people of all questions. Raises EngineError where nothing tells the task."""
    reading = _Reading(_task(samples, mapping))
    for sample in samples:
        split = split_of(sample.path) if len(samples) > 1 else ""
        answers, golds = _golds(sample.path, mapping.encoding, reading.gathered)
        asked: set[str] = set()
        characters, rows = _profiles(sample.path.parent, reading.gathered), 0
        for line, row in rows_of(sample.path, mapping.encoding, reading.gathered):
            character = characters[rows] if rows < len(characters) else None
            rows += 1
            asked.update(str(query.query_id) for query in _queries(row, {}))
            _read_row(row, reading, golds, where=(sample.path.name, line), split=split, character=character)
        if golds and not asked & golds.keys():
            problem = (
                f"answers no query of {sample.path.name}: its ids are {', '.join(list(golds)[:3])[:80]} ..."
            )
            reading.gathered.wrong(answers, 0, problem)
        if characters and len(characters) != rows:
            problem = f"{len(characters)} people's summaries beside it, in the order of {rows} people"
            reading.gathered.wrong(sample.path.name, 0, problem)
            reading.gathered.characters = dict.fromkeys(reading.gathered.characters)
    _refuse_other_task(reading, samples[0].path.name)
    imported = reading.gathered.imported(layout, ids_tell=False, dates=mapping.dates)
    return replace(
        imported,
        notes=(f"Task: {reading.task.name} ({reading.task.about}).", *reading.notes(), *imported.notes),
        mapping=replace(mapping, task=reading.task.name).as_json(),
    )


def _refuse_other_task(reading: _Reading, file: str) -> None:
    """Raise EngineError where no history item has what the task needs."""
    if reading.odd_keys and not any(reading.items.values()):
        needed = ", ".join((*reading.task.given, reading.task.answer))
        raise EngineError(
            f"{file}: no history item has what {reading.task.name} ({reading.task.about}) needs ({needed});"
            f" they hold {', '.join(sorted(reading.odd_keys)[:8])}.",
            f"Name the task they belong to: --task {' or '.join(_fitting(reading.odd_keys)) or 'NAME'}",
        )


def _fitting(keys: frozenset[str]) -> list[str]:
    return [one.name for one in BY_NAME.values() if {*one.given, one.answer} <= keys]


def _task(samples: Sequence[Sample], mapping: Mapping) -> Task:
    if mapping.task:
        return task_named(mapping.task)
    for sample in samples:
        asked = [
            query.asked for row in sample.rows for query in _queries(row, {}) if isinstance(query.asked, str)
        ]
        found = next((task for one in asked if (task := task_asked(one))), None) or task_told(
            str(sample.path)
        )
        if found is not None:
            return found
    raise EngineError(
        f"{samples[0].path.name}: nothing tells which task of the LaMP family it is.",
        f"Name it: --task lamp-4 (known: {', '.join(BY_NAME)})",
    )


def _read_row(
    row: dict[str, Any],
    reading: _Reading,
    golds: dict[str, Any],
    *,
    where: tuple[str, int],
    split: str,
    character: str | None,
) -> None:
    file, line = where
    problems: list[str] = []
    column = next((name for name in _USERS if row.get(name) is not None), "id")
    user = identifier(row.get(column), column, problems)
    profile = row.get("profile") or []  # null: nothing is known of her
    if not isinstance(profile, list):
        problems.append("profile: must be a list")
    if user is None or problems:
        reading.gathered.wrong(file, line, *problems)
        return
    reading.gathered.person(user, character)
    for draft in _history(user, profile, reading, file=file, line=line):
        reading.gathered.drafts.append(draft)
    for place, query in enumerate(_queries(row, golds)):
        _read_query(query, user, reading, place=place, where=where, split=split)


def _history(user: str, profile: list[Any], reading: _Reading, *, file: str, line: int) -> Iterator[Draft]:
    """Yield a dialogue for each item of a profile that none of the person's rows held before."""
    seen = reading.items.setdefault(user, set())
    for item in profile:
        pair = reading.task.pair(item) if isinstance(item, dict) else None
        if pair is None:
            reading.odd_items += 1
            reading.odd_keys = reading.odd_keys or frozenset(item if isinstance(item, dict) else ())
            continue
        key = repr((item.get("id"), pair))  # ids alone are often null, or numbers that begin anew
        if key in seen:
            continue
        seen.add(key)
        said = reading.gathered.turns
        messages = said.tidied([*said.said("user", pair[0]), *said.said("assistant", pair[1])])
        session = f"item-{len(seen):04d}"
        yield Draft(user, session, messages, _meta(reading), file, line, when=_when(item), split="train")


def _when(item: dict[str, Any]) -> Any:
    """The date of a history item; papers often have a year alone."""
    told = item.get("date", item.get("year"))
    return f"{told}-01-01" if _A_YEAR.fullmatch(str(told).strip()) else found_in(item)


def _read_query(
    query: _Query, user: str, reading: _Reading, *, place: int, where: tuple[str, int], split: str
) -> None:
    file, line = where
    problems: list[str] = []
    answer = reading.task.answered(query.answer)
    if not isinstance(query.asked, str) or not query.asked.strip():
        problems.append("input: must be text with words in it")
    if not answer and query.answer is not None:
        problems.append("output: must be text with words in it")
    given = query.query_id if query.query_id is not None else f"{stem_of(Path(file))}-{line}-{place}"
    session = identifier(f"{QUERY}{given}", "id", problems)
    if problems or session is None:
        reading.gathered.wrong(file, line, *problems)
        return
    said = reading.gathered.turns
    reading.unanswered += not answer
    reply = said.said("assistant", answer) if answer else []
    messages = said.tidied([*said.said("user", query.asked), *reply])
    draft = Draft(user, session, messages, _meta(reading), file, line, split=split or "test", last=True)
    reading.gathered.drafts.append(draft)


def _meta(reading: _Reading) -> dict[str, str]:
    """What tells the domain what kind of answer is asked for; it reaches no prompt."""
    return {TASK: reading.task.name}


def _queries(row: dict[str, Any], golds: dict[str, Any]) -> list[_Query]:
    """The queries of a row: its own, or OPPU's list of them."""
    held = row.get("query")
    rows = [one for one in held if isinstance(one, dict)] if isinstance(held, list) else [row]
    return [
        _Query(
            one.get("id"), one.get("input"), _answer(one.get("output", one.get("gold")), one.get("id"), golds)
        )
        for one in rows
    ]


def _answer(own: Any, query_id: Any, golds: dict[str, Any]) -> Any:
    return own if own is not None else golds.get(str(query_id))


def _golds(path: Path, encoding: str, gathered: Gathered) -> tuple[str, dict[str, Any]]:
    """The answers beside a file of questions, and the name of theirs: *_outputs.json, or OPPU's
    *_label.json.
    """
    stem = stem_of(path)
    names = [f"{stem.replace('questions', 'outputs')}.json"] if "questions" in stem else []
    names += [f"{stem}_label.json", f"{stem}_labels.json", f"{stem}_outputs.json"]
    place = next((found for name in names if (found := beside(path.parent, name))), None)
    if place is None:
        return "", {}
    golds: dict[str, Any] = {}
    for line, row in rows_of(place, encoding, gathered):
        held = row.get("golds") if "id" not in row else [row]
        if not isinstance(held, list):
            gathered.wrong(place.name, line, 'must hold {"golds": [{"id", "output"}]}')
            continue
        golds |= {str(one.get("id")): one.get("output") for one in held if isinstance(one, dict)}
    return place.name, golds


def _profiles(folder: Path, gathered: Gathered) -> list[str | None]:
    """OPPU's summaries of each person, in the order of the histories."""
    found = sorted(path for path in folder.iterdir() if _PROFILES.fullmatch(stem_of(path)) and path.is_file())
    if not found:
        return []
    texts = [row.get("output") for _, row in rows_of(found[0], "", gathered)]
    return [text if isinstance(text, str) else None for text in texts]
