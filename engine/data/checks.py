"""Whether a study's data and split are fair. The ONE list of checks: what each looks at, means and asks for.

A check is a record {name, ok, detail}; what a failed one means, and what to do about it, is told by its name,
so that older workspaces say it too. Changes nothing, but for keeping which dialogues repeat others.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.kept import kept, leave
from engine.core.paths import Workspace
from engine.core.types import Dataset, Dialogue, Splits
from engine.core.wording import count, percent
from engine.data.dataset import contents, example_turns, load_dataset, load_splits
from engine.data.likeness import Pair, repeated
from engine.data.order import Order
from engine.data.splits import HISTORY, NAMES, UNSEEN, by_persona, in_time
from engine.data.when import dated

_LEARNED, _JUDGED = frozenset({"train", HISTORY}), frozenset({"test", UNSEEN})
_MOST_COMPARED = 4_000


@dataclass(frozen=True, slots=True)
class Told:
    """What a failed check means for results, and what to do."""

    means: str
    do: str


SCORER: Final = "scorer"
REPEATS: Final = "repeats"
"""Under which name those of a workspace are kept on disk."""
AGAIN = "Create the workspace again from its source: python -m engine init"
TOLD: Mapping[str, Told] = {
    "every dialogue assigned": Told("Dialogues without a split are neither trained on nor judged.", AGAIN),
    "no overlap": Told("What is judged was trained on, so test says nothing.", AGAIN),
    "no repeats": Told(
        "What is judged there can be repeated from memory: the gain of whoever remembers is flattered.",
        "Take repeated dialogues out of the file, or read the report's gains elsewhere alone.",
    ),
    "order in time": Told(
        "What is called test may be older than what was trained on, so the future is known.",
        "Name the column of dates (--map time=COLUMN), or number the sessions.",
    ),
    "online within train": Told("The online slice would be judged, or is lost.", AGAIN),
    "balance": Told(
        "One persona weighs more than the others in what is trained for all, unified above all.",
        "Take fewer dialogues of each (--dialogues N), or leave that persona out of the file.",
    ),
    "coverage": Told(
        "Who lacks examples in a split is not chosen for, or not judged.",
        "Leave short histories out (--min-dialogues 5), or split by persona.",
    ),
    SCORER: Told(
        "Similarity is read from what the scorer can read: replies that it cannot read look alike.",
        "Choose another encoder (python -m engine scorer HUB_ID_OR_FOLDER), or judge by chrF.",
    ),
}


def explained(check: Mapping[str, Any]) -> str:
    """Return a failed check in words: its name, what was found, what that means and what to do."""
    told = TOLD.get(str(check["name"]))
    words = f"{check['name']}: {str(check['detail']).removesuffix('.')}."
    return f"{words} {told.means} {told.do}" if told else words


def failed(checks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the checks that do not hold."""
    return [check for check in checks if not check["ok"]]


def named(name: str, wrong: str, detail: str) -> dict[str, Any]:
    """Return a check: what is wrong ("" when nothing is) and what to say when all is well."""
    return {"name": name, "ok": not wrong, "detail": wrong or detail}


def check_splits(
    dataset: Dataset, splits: Splits, order: Order | None = None, *, found: Sequence[Pair] | None = None
) -> list[dict[str, Any]]:
    """Return the checks of a split, each {"name", "ok", "detail"}. `order` is what told the order in time,
    `found` are its `repeats` where they are known already."""
    checks = [
        _check_assigned(dataset, splits),
        _check_overlap(dataset, splits),
        _check_repeats(repeats(dataset, splits) if found is None else found),
        _check_order(dataset, splits, order or Order()),
        _check_online(splits),
        _check_balance(dataset),
        _check_coverage(dataset, splits),
    ]
    return [named(*check) for check in checks]


# A check's name, what is wrong ("" when nothing is) and what to say when all is well.
_Check = tuple[str, str, str]


def _check_assigned(dataset: Dataset, splits: Splits) -> _Check:
    known = {dialogue.dialogue_id for dialogue in dataset.dialogues}
    missing, unknown = known - splits.assignment.keys(), splits.assignment.keys() - known
    wrong = f"{len(missing)} dialogues in no split, {len(unknown)} unknown ones" if missing or unknown else ""
    return "every dialogue assigned", wrong, f"all {len(known):,} dialogues are in exactly one split"


def _check_overlap(dataset: Dataset, splits: Splits) -> _Check:
    """By time a dialogue, by persona a persona may be in one split only."""
    whole = splits.scheme == "by-persona"
    seen: dict[str, set[str | None]] = defaultdict(set)
    for row in dataset.dialogues:
        seen[row.persona_id if whole else row.dialogue_id].add(splits.assignment.get(row.dialogue_id))
    shared = sorted(one for one, found in seen.items() if len(found) > 1)
    unit = "personas" if whole else "dialogues"
    return "no overlap", _named(f"{unit} are in several splits", shared), f"no {unit[:-1]} is in two splits"


def _check_repeats(found: Sequence[Pair]) -> _Check:
    """A test dialogue that was trained on, or is remembered, measures memory: word for word or nearly so."""
    exact = [pair for pair in found if pair.likeness == 1]
    near = [pair for pair in found if pair.likeness < 1]
    wrong = "; ".join(
        told
        for told in (
            _named("test dialogues are word for word in train or history", _told(exact)),
            _named("test dialogues are nearly so", _told(near)),
        )
        if told
    )
    return "no repeats", wrong, "no test dialogue is in train or history, word for word or nearly so"


def repeats(dataset: Dataset, splits: Splits) -> list[Pair]:
    """Return the judged dialogues that stand in what is trained on or remembered, and where.

    Word for word among everybody's; nearly so among her own, or among everybody's where personas are split.
    """
    learned = [row for row in dataset.dialogues if splits.assignment.get(row.dialogue_id) in _LEARNED]
    judged = [row for row in dataset.dialogues if splits.assignment.get(row.dialogue_id) in _JUDGED]
    texts: dict[tuple[str, ...], str] = {}
    for row in learned:
        texts.setdefault(_text(row), row.dialogue_id)
    exact = {row.dialogue_id: texts[_text(row)] for row in judged if _text(row) in texts}
    found = [Pair(dialogue_id, where, 1.0) for dialogue_id, where in exact.items()]
    left = [row for row in judged if row.dialogue_id not in exact]
    if splits.scheme == "by-persona":
        groups = [(left, learned)] if len(left) + len(learned) <= _MOST_COMPARED else []
    else:
        own: dict[str, tuple[list[Dialogue], list[Dialogue]]] = defaultdict(lambda: ([], []))
        for row in left:
            own[row.persona_id][0].append(row)
        for row in learned:
            own[row.persona_id][1].append(row)
        groups = list(own.values())
    for asked, among in groups:
        found += [pair for pair in repeated(asked, among) if asked and among]
    return found


def kept_repeats(ws: Workspace) -> tuple[Pair, ...]:
    """Return the same of a workspace; kept since its import."""
    return kept(
        ws, REPEATS, contents(ws), tuple[Pair, ...],
        lambda: tuple(repeats(load_dataset(ws), load_splits(ws))),
    )  # fmt: skip


def keep_repeats(ws: Workspace, found: Sequence[Pair]) -> None:
    """Keep what the import found of a workspace's data."""
    leave(ws, REPEATS, contents(ws), tuple[Pair, ...], tuple(found))


def _text(row: Dialogue) -> tuple[str, ...]:
    return tuple(message.text for message in row.messages)  # whoever says it: a talk has two sides


def _told(pairs: Sequence[Pair]) -> list[str]:
    return [f"{pair.dialogue_id} ({pair.repeats})" for pair in sorted(pairs, key=lambda one: one.dialogue_id)]


def _check_order(dataset: Dataset, splits: Splits, order: Order) -> _Check:
    """Held against the dates themselves where there are any, and never well where no order is known."""
    name = "order in time"
    if splits.scheme == "by-persona":
        return name, "", "not needed: the splits share no persona"
    wrong, from_future, compared = [], [], 0
    for persona_id, rows in by_persona(dataset).items():
        places = [splits.assignment.get(row.dialogue_id) for row in rows]
        if not in_time(places):
            wrong.append(persona_id)
        times = [dated(row.meta) for row in rows]
        if sum(time is not None for time in times) > 1:
            compared += 1
            if not _in_dates(places, times):
                from_future.append(persona_id)
    fault = _named("personas have a later split before an earlier one", wrong) or _named(
        "personas have a train dialogue dated after a test dialogue", from_future
    )
    doubt = order.of({row.persona_id for row in dataset.dialogues}).doubt
    how = f" ({count(compared, 'persona')} by their dates)" if compared else ""
    detail = f"train comes before val and val before test, for every persona{how}"
    return name, fault or doubt, detail


def _in_dates(places: Sequence[str | None], times: Sequence[float | None]) -> bool:
    """Tell whether no dialogue of a split is dated after one of a later split."""
    latest = float("-inf")
    for name in NAMES:
        held = [time for place, time in zip(places, times, strict=True) if place == name and time is not None]
        if held and min(held) < latest:
            return False
        latest = max([latest, *held])
    return True


def _check_online(splits: Splits) -> _Check:
    outside = sorted(one for one in splits.online if splits.assignment.get(one) != "train")
    if splits.scheme == "by-persona":
        return "online within train", "", "not needed: a split by persona has no online slice"
    detail = f"the {len(splits.online):,} online dialogues are all in train"
    return "online within train", _named("online dialogues are not in train", outside), detail


def _check_balance(dataset: Dataset) -> _Check:
    """No persona may hold more than twice the average (or a twentieth, where there are many), be it in
    dialogues or in examples: one endless dialogue weighs as many do.
    """
    held = {"dialogues": Counter(row.persona_id for row in dataset.dialogues), "examples": Counter[str]()}
    for row in dataset.dialogues:
        held["examples"][row.persona_id] += len(example_turns(row.messages))
    limit = min(1.0, max(0.05, 2 / len(held["dialogues"])))
    most = {unit: (counts.most_common(1)[0], counts.total()) for unit, counts in held.items()}
    unit = max(most, key=lambda unit: (most[unit][0][1] / max(1, most[unit][1]), unit == "dialogues"))
    (largest, count), total = most[unit]
    share = count / max(1, total)
    detail = f"{largest} holds the most {unit}: {percent(share, 1)} (limit {percent(limit, 1)})"
    return "balance", detail if share > limit else "", detail


def _check_coverage(dataset: Dataset, splits: Splits) -> _Check:
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for dialogue in dataset.dialogues:
        split = splits.assignment.get(dialogue.dialogue_id, "none")
        held[dialogue.persona_id][split] += len(example_turns(dialogue.messages))
    if splits.scheme == "by-persona":
        total = sum(held.values(), Counter())
        wrong = _named("splits without an example", [split for split in NAMES if not total[split]])
        return "coverage", wrong, "every split has examples"
    poor = sorted(
        persona_id
        for persona_id, found in held.items()
        if persona_id not in splits.unseen and not all(found[split] for split in NAMES)
    )
    detail = "every persona has examples in each split"
    return "coverage", _named("personas lack examples in a split", poor), detail


def _named(what: str, names: Sequence[str]) -> str:
    """Return "3 <what>: a, b, c", "" for none."""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} {what}: {shown}" if names else ""
