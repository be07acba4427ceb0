"""What a metric is: one record, where its function stands. Knows no metric by name and averages nothing.

None means undefined for this example: it is counted apart, never averaged as 0. No metric is ever NaN. A pair
counts only where both variants have a value, so the reference alone should decide whether there is one: where
the reply decides too, the variant that errs is spared the example.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.core import wording
from engine.core.errors import EngineError

OfTexts = Callable[[str, str], float | None]
OfEmbeddings = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
Counts = Callable[[str, str], Mapping[str, float]]
Total = Callable[[Mapping[str, NDArray[np.float64]]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of replies against their references. Just one of three ways computes it:

    - `of_texts(reply, reference)` gives an example's value, None where it is undefined;
    - `of_embeddings(replies [n, d], references [n, d])` gives the values [n] of n examples at once;
    - `counts(reply, reference)` and `total`: a statistic of the whole set, such as a macro-F1. What an
      example counts is added up by its name; `total` turns sums (name -> [n]) into n values, NaN where
      undefined. Intervals and tests then draw personas and total anew.

    `unit` "fraction" is shown in points (x 100). `higher_is_better` None: neither direction is better. Scores
    of different `version` are never compared. `domains` are those it belongs to, empty for every domain.
    `short` is its word where room is scarce (under a reply, in a report); without one it is not shown there.
    """

    name: str
    label: str
    help: str
    version: str
    unit: Literal["fraction", "number", "ratio"] = "fraction"
    higher_is_better: bool | None = True
    domains: tuple[str, ...] = ()
    short: str = ""
    of_texts: OfTexts | None = None
    of_embeddings: OfEmbeddings | None = None
    counts: Counts | None = None
    total: Total | None = None

    def __post_init__(self) -> None:
        ways = [self.of_texts, self.of_embeddings, self.counts]
        if sum(way is not None for way in ways) != 1 or (self.counts is None) != (self.total is None):
            raise EngineError(
                f"The metric {self.name} can be computed in no way, or in several.",
                "Give it of_texts, or of_embeddings, or counts and total.",
            )
        if not (self.name.isidentifier() and self.label and self.help and self.version):
            raise EngineError(
                f"The metric {self.name!r} is not fully described.",
                "Give it a name (a Python identifier), a label, a help and a version, none of them empty.",
            )

    @property
    def of_whole_set(self) -> bool:
        """Whether it is a statistic of the whole set, not a mean over examples."""
        return self.counts is not None

    @property
    def sign(self) -> float:
        """-1 where lower is better, else 1: what a value is multiplied by to be ranked."""
        return -1.0 if self.higher_is_better is False else 1.0

    @property
    def in_points(self) -> bool:
        """Whether people read it in points; else on its own scale."""
        return self.unit == "fraction"

    @property
    def factor(self) -> float:
        """What a value is multiplied by to be shown: 100 in points, 1 on a scale of its own."""
        return 100.0 if self.in_points else 1.0

    @property
    def unit_words(self) -> str:
        """What stands behind a number in a sentence: " points", nothing on a scale of its own."""
        return " points" if self.in_points else ""

    @property
    def scale_words(self) -> str:
        """How its numbers are to be read: "in points", "as a ratio"."""
        return "in points" if self.in_points else f"as a {self.unit}"

    @property
    def named(self) -> str:
        """Its label within a sentence: "embedding similarity", "MAE", "macro-F1"."""
        first, rest = self.label[:1], self.label[1:]
        return self.label if rest[:1].isupper() else f"{first.lower()}{rest}"

    def spread(self, low: float | None, high: float | None) -> str:
        """Word an interval of differences; a dash where there is none."""
        if low is None or high is None or not (wording.known(low) and wording.known(high)):
            return wording.NOTHING
        return wording.span(self.factor * low, self.factor * high, 1 if self.in_points else 2)

    def worth(self, value: float) -> float:
        """Return a value as a weight that is more where it is better: an error e as 1 / (1 + e)."""
        return value if self.sign > 0 else 1 / (1 + value)

    def level(self, value: float | None) -> str:
        """Word a value: "82.1" in points, "0.42" where it is no fraction, a dash where there is none."""
        if value is None or not wording.known(value):
            return wording.NOTHING
        return wording.rounded(self.factor * value, 1 if self.in_points else 2)

    def change(self, value: float | None) -> str:
        """Word a difference with its sign: "+2.3" in points, "−0.42" where it is no fraction."""
        if value is None or not wording.known(value):
            return wording.NOTHING
        return wording.signed(self.factor * value, 1 if self.in_points else 2)

    def size(self, value: float) -> str:
        """Word how large a difference is: "2.3" in points, "0.42" where it is no fraction."""
        return self.change(abs(value)).removeprefix("+")

    def values_of(self, reply: str, reference: str) -> Mapping[str, float | None]:
        """Return what one example's score holds: its value under "", or its counts by name."""
        if self.counts is not None:
            return self.counts(reply, reference)
        assert self.of_texts is not None
        return {"": self.of_texts(reply, reference)}


def as_record(value: Any, *, where: str) -> Metric:
    """Return `value` as a Metric. Raises EngineError, naming `where` it stands, when it is none."""
    if not isinstance(value, Metric):
        raise EngineError(
            f"{where} lists {value!r} among its METRICS, which is no Metric.",
            "from engine.domains.metric import Metric",
        )
    return value
