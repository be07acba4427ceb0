"""From what a reader read to a Dataset: order in time, duplicates, personas that give no example.

Owns what all layouts have in common. Refuses nothing itself: faults are collected in the Imported
record, and `accept` decides whether they stop the import.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unicodedata import category, normalize

from engine.core.errors import DataError, Fault
from engine.core.limits import limits
from engine.core.types import Dataset, Dialogue, Message, Persona
from engine.core.wording import count
from engine.data.dataset import example_turns
from engine.data.order import Order, put_in_order
from engine.data.schema import shorten
from engine.data.turns import told
from engine.data.when import DATED, days_of, read_time, written


@dataclass(frozen=True, slots=True)
class Draft:
    """A dialogue as read: `session` is its id within the persona, `line` where it stands (1-based).

    `when` is its date as written, `time` the same in seconds since 1970; `split` is what the data says it is
    for; `last` are queries, which come after all that is history.
    """

    persona_id: str
    session: str
    messages: tuple[Message, ...]
    meta: dict[str, Any]
    file: str
    line: int
    where: str = ""
    when: Any = None
    time: float | None = None
    split: str = ""
    last: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """What a reader made of its files: the good rows, and every fault of the others.

    `order` says what told the order in time, `counts` what the rules of turns did, `places` maps dialogue_id
    -> the split that its row names, `mapping` is how columns were understood. `lines` maps dialogue_id ->
    index of its line from 0. Of the flattened layout only: a given split names lines, `line_count` counts
    them, and `given_split` is the edgesplits.json beside the file.
    """

    importer: str
    dataset: Dataset
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)
    line_count: int = 0
    given_split: Path | None = None
    order: Order = field(default_factory=Order)
    counts: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)


def assemble(
    importer: str,
    personas: Iterable[Persona],
    drafts: Iterable[Draft],
    wrong: Iterable[Fault],
    *,
    counts: Mapping[str, int] | None = None,
    ids_tell: bool = True,
    dates: str = "",
) -> Imported:
    """Return the dataset of all personas that have an example, and all that was wrong with the rest.

    `wrong` is what the reader found already; the faults that show only across rows follow it. `ids_tell` is
    False where a dialogue's id is no more than its place in the file; `dates` says how days are written,
    where the user did. A dialogue without a word is left out and counted.
    """
    turned = Counter(counts or {})
    whole = _windows_joined(_without_beginnings(list(drafts), turned), turned)
    unique, faults = _without_duplicates(whole)
    days = days_of((draft.when for draft in unique), dates)
    known = [replace(draft, time=read_time(draft.when, days)) for draft in unique]
    by_persona: dict[str, list[Draft]] = defaultdict(list)
    for draft in known:
        if draft.messages:
            by_persona[draft.persona_id].append(draft)
        else:
            turned["nothing"] += 1
    kept: list[Persona] = []
    dialogues: list[Dialogue] = []
    order = Order(unsure_days=not days.sure)
    silent = reordered = 0
    for persona in sorted(personas, key=lambda persona: persona.persona_id):
        rows = by_persona[persona.persona_id]
        if not rows:
            continue
        silent += sum(not row.last and not example_turns(row.messages) for row in rows)
        if not any(example_turns(row.messages) for row in rows):
            what = f"{persona.persona_id!r} has no assistant reply after a user message: it gives no example"
            faults.append(Fault(rows[0].file, rows[0].line, what))
            continue
        kept.append(persona)
        ordered, by = put_in_order(rows, ids_tell=ids_tell)
        order = order.with_one(persona.persona_id, by)
        reordered += by != "file" and ordered != rows
        dialogues.extend(
            Dialogue(row.persona_id, _dialogue_id(row), place, row.messages, _meta(row))
            for place, row in enumerate(ordered)
        )
    return Imported(
        importer,
        Dataset(tuple(kept), tuple(dialogues)),
        (*wrong, *faults),
        (*_notes(silent, reordered), *_alike(kept), *_undated(known), *told(turned)),
        lines={_dialogue_id(draft): draft.line - 1 for draft in known},
        order=order,
        counts=turned,
        places={_dialogue_id(draft): draft.split for draft in known if draft.split},
    )


def _meta(draft: Draft) -> dict[str, Any]:
    """What is known of a dialogue; when it took place stands under a key that no domain shows."""
    return draft.meta if draft.time is None else {**draft.meta, DATED: written(draft.time)}


def _notes(silent: int, reordered: int) -> tuple[str, ...]:
    """What is worth saying about valid data."""
    found = []
    if silent:
        found.append(f"{count(silent, 'dialogue')} without a reply after a user message: no example.")
    if reordered:
        found.append(
            f"The dialogues of {count(reordered, 'persona')} do not stand in the order of their dates or ids;"
            " these decide the order in time."
        )
    return tuple(found)


def _alike(personas: Sequence[Persona]) -> tuple[str, ...]:
    """What is said of ids that differ in case, in how a letter is put together or in unseen signs alone."""
    same: dict[str, list[str]] = defaultdict(list)
    for one in personas:
        seen = "".join(sign for sign in normalize("NFKC", one.persona_id) if category(sign) != "Cf")
        same[seen.casefold()].append(one.persona_id)
    found = [ids for ids in same.values() if len(ids) > 1]
    if not found:
        return ()
    return (
        f"{count(sum(map(len, found)), 'persona')} whose ids look alike are kept apart, first"
        f" {found[0][0]!a} and {found[0][1]!a}.",
    )


def _undated(drafts: Sequence[Draft]) -> tuple[str, ...]:
    """What is said of dates that are none."""
    wrong = [draft for draft in drafts if draft.time is None and draft.when not in (None, "")]
    if not wrong:
        return ()
    first = wrong[0]
    dates = count(len(wrong), "date")
    return (f"{dates} cannot be read, first {shorten(first.when)} in {first.file}:{first.line}.",)


def _without_beginnings(drafts: Sequence[Draft], turned: Counter[str]) -> list[Draft]:
    """Leave out, and count, what is the beginning of another of the same person and split.

    A log of requests holds a dialogue anew at each turn: the last one has all of its examples, and to divide
    them by time would judge what was trained on.
    """
    steps: dict[tuple[Any, Message], int] = {}
    ends: list[Any] = []
    gone_on: set[Any] = set()
    for draft in drafts:
        place: Any = (draft.persona_id, draft.split)
        for message in draft.messages:
            gone_on.add(place)
            place = steps.setdefault((place, message), len(steps))
        ends.append(place)
    whole = [
        draft
        for draft, end in zip(drafts, ends, strict=True)
        if draft.last or not draft.messages or end not in gone_on
    ]
    turned["begun"] += len(drafts) - len(whole)
    return whole


def _windows_joined(drafts: Sequence[Draft], turned: Counter[str]) -> Sequence[Draft]:
    """Join, and count, what begins as one before of the same person and split ends, and goes on by a turn.

    A log of requests that holds the last turns alone has each reply several times over. Only where most
    dialogues do so: anybody may begin with what she ended with.
    """
    made: list[Draft] = []
    ends: dict[tuple[str, str, Message], list[int]] = defaultdict(list)
    longer = 0
    for draft in drafts:
        said = tuple(message for message in draft.messages if message.role != "system")
        longer += len(said) > 2
        for known in (said[:-2], said[:-1]) if len(said) > 2 and not draft.last else ():
            places = ends[draft.persona_id, draft.split, known[-1]]
            place = next((one for one in places if made[one].messages[-len(known) :] == known), None)
            if place is not None:
                places.remove(place)
                made[place] = replace(made[place], messages=made[place].messages + said[len(known) :])
                break
        else:
            place = len(made)
            made.append(draft)
        if said and not draft.last:
            ends[draft.persona_id, draft.split, said[-1]].append(place)
    joined = len(drafts) - len(made)
    if 2 * joined < longer or not joined:
        return drafts
    turned["windows"] += joined
    return made


def _without_duplicates(drafts: Iterable[Draft]) -> tuple[list[Draft], list[Fault]]:
    """Keep the first of each id, in the order read."""
    seen: dict[str, Draft] = {}
    faults = []
    for draft in drafts:
        first = seen.setdefault(_dialogue_id(draft), draft)
        if first is not draft:
            where = f"{draft.where}: " if draft.where else ""
            elsewhere = f" of {first.file}" if first.file != draft.file else ""
            what = (
                f"{where}the id {draft.session} of {draft.persona_id} was used before, in line"
                f" {first.line}{elsewhere}"
            )
            faults.append(Fault(draft.file, draft.line, what))
    return list(seen.values()), faults


def _dialogue_id(draft: Draft) -> str:
    return f"{draft.persona_id}/{draft.session}"


def refuse_too_many(faults: Sequence[Fault], file: str) -> None:
    """Raise DataError when so much is wrong that reading on would only pile up faults."""
    most = limits().faults
    if len(faults) >= most:
        raise DataError(
            f"{file}: {most:,} faults were found, and it was not read on; nothing was imported.",
            faults[:most],
            "Mend the file: it is probably of another layout, or damaged.",
        )


def accept(dataset: Dataset, faults: Sequence[Fault], *, source: str, keep_good: bool) -> None:
    """Raise DataError with every fault, unless `keep_good` is set and something good is left."""
    if dataset.dialogues and (keep_good or not faults):
        return
    ordered = sorted(faults, key=lambda fault: (fault.file, fault.line))
    if dataset.dialogues:
        hint = "Mend the file, or keep only the good rows with --keep-good."
    else:
        hint = "No good row is left to keep: mend the file and try again."
    if any("not UTF-8" in fault.what for fault in faults):
        hint += " A file in another encoding needs its name: --map encoding=cp1252"
    raise DataError(f"{source}: {count(len(ordered), 'fault')}, nothing was imported.", ordered, hint)
