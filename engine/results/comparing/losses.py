"""Why a variant loses: the replies where it scores lower, by kind of miss, topic, context and turn.

Owns the grouping. A reading of the examples that a comparison pairs: it tests nothing, and a part that loses
most is where to look, no verdict.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd

from engine.core.paths import Workspace
from engine.core.types import Dialogue
from engine.data import load_dataset
from engine.data.dataset import dialogues_of
from engine.domains.domain import Domain
from engine.domains.kinds import KINDS, kind_of
from engine.domains.metrics import METRICS
from engine.domains.registry import domain_of
from engine.results import marks, store
from engine.results.marks import MARKS, Mark, Said
from engine.stats.levels import NOISE

By = Literal["kind", "topic", "context", "turn", "mark"]
SAME_WORDS: Final = "same"
UNMARKED: Final = "unmarked"
_LAST_TURN: Final = 6  # later replies are one part


@dataclass(frozen=True, slots=True)
class Pair:
    """One example that both variants have a value for. `gain` is in the metric's unit, more is better."""

    persona_id: str
    example_id: str
    gain: float
    parts: Mapping[By, tuple[str, ...]]

    @property
    def is_lost(self) -> bool:
        return self.gain < -NOISE


@dataclass(frozen=True, slots=True)
class Group:
    """One part of the examples: how many, how many of them are lost, and its share of all that is lost."""

    name: str
    label: str
    examples: int
    lost: int
    share: float


@dataclass(frozen=True, slots=True)
class Why:
    """The examples that a variant and what it is compared with share, and how each grouping is worded."""

    variant: str
    against: str
    pairs: tuple[Pair, ...]
    labels: Mapping[By, Mapping[str, str]]

    @property
    def lost(self) -> int:
        return sum(pair.is_lost for pair in self.pairs)

    def parts(self, by: By) -> list[Group]:
        """Return the parts of one grouping, the one that loses most first; an example may be in several."""
        whole = sum(-pair.gain for pair in self.pairs if pair.is_lost)
        found: dict[str, list[Pair]] = defaultdict(list)
        for pair in self.pairs:
            for name in pair.parts.get(by, ()):
                found[name].append(pair)
        made = [
            Group(
                name,
                self.labels[by].get(name, name),
                len(pairs),
                sum(pair.is_lost for pair in pairs),
                sum(-pair.gain for pair in pairs if pair.is_lost) / whole if whole else 0.0,
            )
            for name, pairs in found.items()
        ]
        return sorted(made, key=lambda part: (-part.share, -part.lost, part.name))

    def lost_in(self, by: By | None = None, name: str = "") -> list[Pair]:
        """Return the examples that are lost in a part, by default all, the largest loss first."""
        lost = [pair for pair in self.pairs if pair.is_lost]
        held = lost if by is None else [pair for pair in lost if name in pair.parts.get(by, ())]
        return sorted(held, key=lambda pair: (pair.gain, pair.example_id))


def why(
    ws: Workspace, found: Mapping[str, Any], variant: str, personas: Collection[str] | None = None
) -> Why:
    """Return where a variant of a table (of `compare_variants`) loses against what it is compared with.

    `personas` leaves out all others. A statistic of the whole set has no value of an example: no pair.
    """
    row = next(one for one in found["rows"] if one["variant"] == variant)
    against, metric = str(row["built_on"] or found["reference"]), METRICS[found["metric"]]
    rows = store.example_rows(
        ws, split=found["split"], protocol=found["protocol"], variants=(variant, against)
    )
    if personas is not None:
        rows = rows[rows["persona_id"].isin(list(personas))]
    domain = domain_of(ws)
    known = {dialogue.dialogue_id: dialogue for dialogue in load_dataset(ws).dialogues}
    said = marks.read(ws)
    pairs = []
    contexts: dict[str, str] = {}
    for mine, theirs in _paired(rows, variant, against, metric.name):
        meta = known[mine["dialogue_id"]].meta if mine["dialogue_id"] in known else {}
        contexts |= _circumstances(domain, meta)
        pairs.append(
            Pair(
                persona_id=str(mine["persona_id"]),
                example_id=str(mine["example_id"]),
                gain=metric.sign * float(mine[metric.name] - theirs[metric.name]),
                parts=_parts(domain, mine, meta, said),
            )
        )
    turns = {str(number): _turn_words(number) for number in range(1, _LAST_TURN + 1)}
    labels: dict[By, Mapping[str, str]] = {
        "kind": {**KINDS, SAME_WORDS: "The right reply, word for word"},
        "topic": {"none": f"No {domain.topic.lower()}"},
        "context": contexts,
        "turn": turns,
        "mark": {**MARKS, UNMARKED: "Not marked"},
    }
    return Why(variant, against, tuple(pairs), labels)


def _paired(
    rows: pd.DataFrame, variant: str, against: str, metric: str
) -> Iterable[tuple[Mapping[Any, Any], Mapping[Any, Any]]]:
    """Each example that both have a value for: the variant's row and the other's."""
    held = rows[rows[metric].notna()] if metric in rows else rows.iloc[:0]
    theirs = {row["example_id"]: row for row in held[held["variant"] == against].to_dict("records")}
    for row in held[held["variant"] == variant].to_dict("records"):
        if row["example_id"] in theirs:
            yield row, theirs[row["example_id"]]


def _parts(
    domain: Domain, row: Mapping[Any, Any], meta: Mapping[str, Any], said: Mapping[Said, Mark]
) -> dict[By, tuple[str, ...]]:
    reply, right = str(row["reply"]), str(row["reference"])
    mark = said.get((str(row["example_id"]), reply))
    return {
        "kind": (kind_of(domain, reply, right) or SAME_WORDS,),
        "topic": tuple(sorted(domain.subjects(right))) or (("none",) if domain.topic else ()),
        "context": tuple(_circumstances(domain, meta)),
        "turn": (str(min(_LAST_TURN, (int(row["turn"]) + 1) // 2)),),
        "mark": (mark.mark if mark is not None and mark.mark else UNMARKED,),
    }


def _circumstances(domain: Domain, meta: Mapping[str, Any]) -> dict[str, str]:
    """What is known of a dialogue's circumstances, each with its words."""
    known = {key: value for key, value in domain.facts(meta).items() if value not in (None, "")}
    told = dict.fromkeys(domain.word(key, value) for key, value in known.items())  # "night": an hour, a sky
    return {words: words.capitalize() for words in told}


def _turn_words(number: int) -> str:
    return f"Reply {number} or later" if number == _LAST_TURN else f"Reply {number}"


def examples_of(
    ws: Workspace, found: Mapping[str, Any], variants: Sequence[str], examples: Sequence[str]
) -> tuple[pd.DataFrame, list[Dialogue]]:
    """Return the store's rows of some examples under some variants, and their dialogues."""
    place = {"split": found["split"], "protocol": found["protocol"]}
    rows = store.example_rows(ws, **place, variants=variants, examples=examples)
    own = (one for persona in dict.fromkeys(rows["persona_id"]) for one in dialogues_of(ws, str(persona)))
    ids = set(rows["dialogue_id"])
    return rows, [dialogue for dialogue in own if dialogue.dialogue_id in ids]
