"""Where a gain stands: on replies that the persona's own train dialogues hold word for word, and elsewhere;
by turn.

A reply that stands in somebody's history can be repeated by whoever remembers it. That is no fault of the
split, and no understanding of the persona either; so both numbers stand beside each other. Owns the audit;
judges nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.core.kept import kept
from engine.core.paths import Workspace
from engine.core.wording import count, percent
from engine.data.dataset import contents, example_turns, load_dataset, load_splits
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.registry import domain_of
from engine.results import store
from engine.results.comparing import sharing
from engine.results.comparing.grounds import judged, shared_by
from engine.stats.pairing import index, pair, valued

LAST_TURN = 4
Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gain:
    """A variant's gain over whom it is compared with on some of the examples; fractions."""

    name: str
    n_examples: int
    n_personas: int
    delta: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, slots=True)
class Leakage:
    """`share` of the `n` references scored stand word for word in the persona's own train replies.

    `parts` maps a variant to its gain on those and on the others, `turns` to that by the reply's place in its
    dialogue, counted from 1; the last holds all later ones.
    """

    share: float
    n: int
    parts: Mapping[str, tuple[Gain, Gain]]
    turns: Mapping[str, tuple[Gain, ...]]

    @property
    def words(self) -> str:
        """How many references can be repeated from memory, in a sentence."""
        return (
            f"Of {count(self.n, 'reference')}, {percent(self.share)} stand word for word in the persona's own"
            " train replies."
        )


@dataclass(frozen=True, slots=True)
class _Place:
    is_verbatim: bool
    turn: int


def audit(ws: Workspace, found: Found, variants: Collection[str]) -> Leakage | None:
    """Return the audit of a table (of `compare_variants`) for some of its variants.

    None where there is nothing to audit: published scores without dialogues, a statistic of the whole set, or
    answers that are labels or ratings, of which each stands in everybody's history.
    """
    metric = metrics.chosen(ws, found["metric"])
    is_void = metric.total is not None or domain_of(ws).is_closed
    places = {} if is_void else _places(ws, found["split"])
    rows = [row for row in found["rows"] if row["variant"] in variants and row["delta"] is not None]
    scores = store.score_table(ws, metric=metric.name, split=found["split"], protocol=found["protocol"])
    scores = scores[scores["example_id"].isin(list(places))]
    if scores.empty:
        return None
    asked = set(scores["example_id"])
    known = {one.variant_id: one for one in store.overview(ws).variants.values()}
    ids = {one.variant: own for own, one in known.items()}
    tables = {ids[str(name)]: table for name, table in scores.groupby("variant", sort=False)}
    parts: dict[str, tuple[Gain, Gain]] = {}
    turns: dict[str, tuple[Gain, ...]] = {}
    for row in rows:
        seeds = [
            (tables[one], tables[other]) for one, other in row["compared"] if {one, other} <= set(tables)
        ]
        if not seeds:
            continue
        sides = dict.fromkeys(one for pair in row["compared"] for one in pair)
        shared = shared_by(sharing.groups(ws, [known[one] for one in sides]), row["compared"])

        def part(
            name: str,
            wanted: Callable[[_Place], bool],
            seeds: Sequence[tuple[pd.DataFrame, pd.DataFrame]] = seeds,
            shared: Mapping[str, int] | None = shared,
        ) -> Gain:
            return _part(name, {one for one in asked if wanted(places[one])}, seeds, metric, shared)

        parts[row["variant"]] = (
            part("word for word", lambda place: place.is_verbatim),
            part("elsewhere", lambda place: not place.is_verbatim),
        )
        turns[row["variant"]] = tuple(
            part(
                str(turn) if turn < LAST_TURN else f"{turn} and later",
                lambda place, turn=turn: place.turn == turn,  # type: ignore[misc]
            )
            for turn in sorted({places[one].turn for one in asked})
        )
    share = sum(places[one].is_verbatim for one in asked) / len(asked)
    return Leakage(share, len(asked), parts, turns)


def _places(ws: Workspace, split: str) -> dict[str, _Place]:
    """Every example of a split: whether its reference stands in her own train replies, and its turn."""
    dataset, splits = load_dataset(ws), load_splits(ws)
    learned: dict[str, set[str]] = {}
    for dialogue in dataset.dialogues:
        if splits.assignment.get(dialogue.dialogue_id) == "train":
            own = learned.setdefault(dialogue.persona_id, set())
            own.update(dialogue.messages[turn].text.strip() for turn in example_turns(dialogue.messages))
    found = {}
    for dialogue in dataset.dialogues:
        if splits.assignment.get(dialogue.dialogue_id) == split:
            own = learned.get(dialogue.persona_id, set())
            for number, turn in enumerate(example_turns(dialogue.messages), 1):
                text = dialogue.messages[turn].text.strip()
                found[f"{dialogue.dialogue_id}#{turn}"] = _Place(text in own, min(number, LAST_TURN))
    return found


def _part(
    name: str,
    wanted: Collection[str],
    seeds: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
    metric: Metric,
    shared: Mapping[str, int] | None,
) -> Gain:
    """One part, over as many seeds as the table is."""
    asked = list(wanted)
    paired = [
        pair(*(index(valued(table[table["example_id"].isin(asked)])) for table in both)) for both in seeds
    ]
    there = [one for one in paired if one.n_paired]
    if not there:
        return Gain(name, 0, 0, None, None, None)
    row, _ = judged(there, metric, shared)
    return Gain(name, row.n_examples, row.n_paired, row.delta, row.ci_low, row.ci_high)


def strangers(ws: Workspace, split: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the personas with examples on a split who have dialogues to train on, and those who have
    none."""
    form = dict[str, frozenset[str]]
    there = kept(ws, "personas-by-split", contents(ws), form, lambda: _by_split(ws))
    nobody = frozenset[str]()
    judged, seen = there.get(split, nobody), there.get("train", nobody)
    return judged & seen, judged - seen


def _by_split(ws: Workspace) -> dict[str, frozenset[str]]:
    dataset, splits = load_dataset(ws), load_splits(ws)
    there: dict[str, set[str]] = {}
    for dialogue in dataset.dialogues:
        part = splits.assignment.get(dialogue.dialogue_id)
        if part is not None:
            there.setdefault(part, set()).add(dialogue.persona_id)
    return {part: frozenset(personas) for part, personas in there.items()}
