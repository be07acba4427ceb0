"""What a comparison comes down to: the variant that val chose, and what test says of it, once.

Owns the choice and its words. The highest on test is no result: of several it looks better than it is, by as
much as the data say, and it is named so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.types import Row
from engine.core.wording import listed, p_value, percent
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results import store
from engine.results.comparing import looks, row_role
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.pairings import pairings
from engine.results.comparing.remarks import too_few
from engine.stats.co_primary import beside_words
from engine.stats.levels import NOISE
from engine.stats.verdicts import BETTER, WORSE, alone, verdict
from engine.stats.winners import Optimism, optimism

Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Headline:
    """The choice of val and its one verdict; fractions throughout.

    `chosen` is its row on val: None where val is not scored, or where nothing is above the reference there.
    `tested` is its row on test, None where nobody has looked yet or it is not scored there. `highest` is the
    highest of the `competing` on test, where a comparison on test is shown, with the `luck` of the highest,
    where personas are enough to tell. `thin` says why there is none of all this: too few personas have the
    metric. `among` is how many metrics its p answers for: 1 where this one was declared beforehand. `alike`
    are the others that stand as high on val: of such the first by name is chosen.
    """

    metric: str
    reference: str
    on_val: bool
    chosen: Row | None
    tested: Row | None
    highest: Row | None
    luck: Optimism | None
    thin: str = ""
    among: int = 1
    competing: int = 1
    alike: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The word of test for the choice: one test, declared before it, so its own p decides."""
        if self.tested is None:
            return ""
        row = alone(self.tested, among=self.among)
        return verdict(row, higher_is_better=METRICS[self.metric].higher_is_better)

    @property
    def words(self) -> list[str]:
        """What is to be said, a line each: the choice with its verdict, then the highest on test."""
        return [line for line in (self.choice_words, self.highest_words) if line]

    @property
    def choice_words(self) -> str:
        if self.thin or not self.on_val:
            return self.thin
        if self.chosen is None:
            return f"On validation nothing is above {self.reference}, so nothing is chosen."
        name, metric = self.chosen["variant"], METRICS[self.metric]
        if self.tested is None:
            gain = _size(self.chosen["delta"], metric)
            own = self.chosen["reference"]  # what it is built on, where that is not the reference
            told = f"Validation chooses {name}: {gain} over {own} there.{self._held_back(self.chosen)}"
            return f"{told}{self._alike_words} Test has not judged it yet."
        counted = "one test" if self.among == 1 else f"one of {self.among} metrics"
        p = alone(self.tested, among=self.among)["p_holm"]
        sure = "no test" if p is None else f"p {_p(p)}, {counted}"
        return (
            f"Validation chose {name}; on test it is {self.verdict}: {_size(self.tested['delta'], metric)}"
            f" over {self.tested['reference']} ({_spread(self.tested, metric)}; {sure})."
            f"{self._held_back(self.tested)}{self._alike_words}"
        )

    @property
    def _alike_words(self) -> str:
        """Who could have been chosen as well."""
        return (
            f" On validation {listed(self.alike)} did just as well; of such the first by name is chosen."
            if self.alike
            else ""
        )

    def _held_back(self, row: Row) -> str:
        """What speaks against a clear word: training alone makes as much, or the second primary metric makes
        the word another one."""
        higher, judged = METRICS[self.metric].higher_is_better, alone(row, among=self.among)
        by_one = verdict({**judged, "co_primary": None}, higher_is_better=higher)
        if by_one not in (BETTER, WORSE):
            return ""
        noise = " That is within the noise of training." if row.get("above_noise") is False else ""
        if by_one == verdict(judged, higher_is_better=higher):
            return noise
        return f"{noise} {beside_words(row['co_primary'])}."

    def answer(self, *, competing: bool) -> str:
        """Answer the study's question in a sentence: what val chose and what test says of it, never the
        highest on test. `competing` says that there is anything beside the reference."""
        if not competing:
            return f"Only {self.reference} is scored; a comparison needs a second variant."
        if not self.on_val:
            return "Validation is not scored here, so nothing was chosen before test was seen."
        told = self.choice_words
        return f"In {METRICS[self.metric].named}, {told[:1].lower()}{told[1:]}"

    @property
    def highest_words(self) -> str:
        row, metric = self.highest, METRICS[self.metric]
        if row is None:
            return ""
        n = self.competing
        if self.chosen is not None and row["variant"] == self.chosen["variant"]:
            return f"It is also the highest of {n} on test." if n > 1 else ""
        told = f"Highest on test of {n}: {row['variant']}, {_size(row['delta'], metric)}."
        flattered = "" if self.luck is None else _size(self.luck.overshoot, metric).removeprefix("+")
        if self.luck is None or flattered == _size(0.0, metric):
            return told
        return (
            f"{told} Picked there, it flatters: were all {n} equally good, the highest would show {flattered}"
            f" too much, and its 95 % interval would hold the truth in {percent(self.luck.coverage)}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        luck = self.luck
        return {
            "chosen": None if self.chosen is None else self.chosen["variant"],
            "on_val": None if self.chosen is None else self.chosen["delta"],
            "on_test": None if self.tested is None else self.tested["delta"],
            "verdict": self.verdict,
            "highest_on_test": None if self.highest is None else self.highest["variant"],
            "of": None if self.highest is None else self.competing,
            "optimism": None if luck is None else luck.overshoot,
            "coverage_of_highest": None if luck is None else luck.coverage,
            "words": self.words,
        }


def opening_split(ws: Workspace) -> str:
    """Return the split that a comparison opens on: val, where choices are made; test where only it is
    scored."""
    scored = set(store.overview(ws).coverage["split"])
    return "test" if scored == {"test"} else "val"


def headline(ws: Workspace, found: Found, *, compared: Callable[..., Found] = compare_variants) -> Headline:
    """Return what the table `found` (of `compare_variants`) comes down to.

    A table of test shows the choice's verdict; one of val shows it where it was looked at before. `compared`
    is `compare_variants` or something that keeps its answers.
    """
    metric = METRICS[found["metric"]]
    if (thin := too_few(found["defined"], metric)) is not None:
        return Headline(metric.name, found["reference"], False, None, None, None, None, thin)
    asked = {**{name: found[name] for name in ("metric", "reference", "protocol")}, "bands": False}
    on_val = _asked(ws, compared, split="val", **asked)
    chosen = None if on_val is None else _best(on_val, metric)
    chosen = chosen if chosen is not None and metric.sign * chosen["delta"] > 0 else None
    alike = (
        ()
        if chosen is None or on_val is None
        else tuple(
            row["variant"]
            for row in _competing(on_val)
            if row is not chosen and abs(row["delta"] - chosen["delta"]) < NOISE
        )
    )
    tested = None
    if chosen is not None and found["split"] == "test":
        tested = _row(found, chosen["variant_id"])
    if chosen is not None and tested is None:
        known = {(one.variant_id, one.metric) for one in looks.seen(ws, looks.at(found))}
        if (chosen["variant_id"], metric.name) in known:
            on_test = _asked(ws, compared, split="test", variants=(chosen["variant"],), **asked)
            tested = None if on_test is None else _row(on_test, chosen["variant_id"])
    highest = _best(found, metric) if found["split"] == "test" else None
    luck = None if highest is None else _luck(ws, found, metric)
    return Headline(
        metric.name,
        found["reference"],
        on_val is not None,
        chosen,
        tested if tested is not None and tested["delta"] is not None else None,
        highest,
        luck,
        among=found["among_metrics"],
        competing=len(_competing(found)),
        alike=alike,
    )


def _asked(ws: Workspace, compared: Callable[..., Found], **asked: Any) -> Found | None:
    try:
        return compared(ws, **asked)
    except EngineError:  # not scored on this split, under this protocol or in this metric
        return None


def _competing(found: Found) -> list[Row]:
    """Those to choose among: who serves fewer than half of the reference's personas (a pilot, a cluster) is
    compared on them, and is no answer for all."""
    return [
        row
        for row in found["rows"]
        if row_role.competes(row)
        and row["delta"] is not None
        and 2 * row["n_paired"] >= found["defined"]["personas"]
    ]


def _best(found: Found, metric: Metric) -> Row | None:
    rows = _competing(found) if metric.higher_is_better is not None else []
    return min(rows, key=lambda row: (round(-metric.sign * row["delta"], 12), row["variant"]), default=None)


def _row(found: Found, variant_id: str) -> Row | None:
    return next((row for row in found["rows"] if row["variant_id"] == variant_id), None)


def _luck(ws: Workspace, found: Found, metric: Metric) -> Optimism | None:
    rows = _competing(found)
    paired = pairings(ws, found, variants=[row["variant"] for row in rows])
    return optimism(
        {
            name: dict(zip(one.personas, (metric.sign * one.differences).tolist(), strict=True))
            for name, one in paired.items()
        },
        {row["variant"]: _by_seed(row, metric) for row in rows if row.get("seeds")},
    )


def _by_seed(row: Row, metric: Metric) -> dict[str, float]:
    """What each seed alone shows, by the seed of the reference, or by its own where that has one."""
    deltas, (own, others) = row["seeds"]["deltas"], zip(*row["compared"], strict=True)
    names = list(others if len(set(others)) > 1 else own)
    if len(names) != len(deltas):  # a seed is not scored here, and nobody knows which
        names = [f"{row['variant']} {number}" for number in range(len(deltas))]
    return {name: metric.sign * delta for name, delta in zip(names, deltas, strict=True)}


def _size(value: float, metric: Metric) -> str:
    return f"{metric.change(value)} points" if metric.in_points else metric.change(value)


def _spread(row: Row, metric: Metric) -> str:
    low, high = row["ci_low"], row["ci_high"]
    if low is None or high is None:
        return "no interval"
    return f"95 % interval {metric.spread(low, high)}"


def _p(value: float) -> str:
    told = p_value(value)
    return told if told[:1] == "<" else f"= {told}"
