"""How far a run is and how long it still takes: the one estimator of a run under way.

Pure: it is told what was declared, what was expected and what has happened; it reads no clock and no file.
Each stage goes at its own rate. Before a stage has shown one, what such stages took before stands in; where
nobody knows that either there is no time left to tell, or one that is rough.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_LEAST_SHARE = 0.05
_LEAST_SECONDS = 3.0
"""A stage has shown its rate after this share of it, or once it has gone on for so long."""


@dataclass(frozen=True, slots=True)
class Left:
    """Seconds a run still takes; None where nobody can know yet. `is_rough`: of a later stage nothing is
    known but its share of the work."""

    seconds: float | None
    is_rough: bool = False


class Pace:
    """Follows one attempt of a run from stage to stage."""

    def __init__(self, stages: Mapping[str, float], expected: Mapping[str, float]) -> None:
        """`stages` are the declared shares of the work, `expected` the seconds known of some of them."""
        self._declared = dict(stages)
        self._expected = {name: expected[name] for name in stages if expected.get(name, 0.0) > 0}
        self._seconds = dict(self._expected)
        """Of stages that are behind what they took, of others what is expected."""
        self._stage, self._place = "", 0
        self._began, self._start, self._share = 0.0, 0.0, 0.0

    def tell(self, stage: str, share: float, at: float) -> None:
        """Take in that at the time `at` a share of a stage is behind."""
        if stage != self._stage:
            if self._stage in self._declared and self._start == 0.0:  # it was seen whole
                self._seconds[self._stage] = at - self._began
            self._stage, self._began, self._start = stage, at, share
            self._place = list(self._declared).index(stage) if stage in self._declared else self._place
        self._share = share

    def progress(self) -> float:
        """Return the share of the whole run that is behind, each stage by its time where that is known."""
        if not self._declared:
            return self._share
        if self._stage not in self._declared:
            return 0.0
        weights = self._weights()
        total = sum(weights.values())
        before = sum(weights[name] for name in list(self._declared)[: self._place])
        return (before + weights[self._stage] * self._share) / total if total > 0 else 0.0

    def left(self, at: float) -> Left:
        """Return the time that the run still takes at `at`."""
        here = self._left_here(at)
        if here is None:
            return Left(None)
        later = list(self._declared)[self._place + 1 :]
        known = sum(self._expected.get(name, 0.0) for name in later)
        unknown = [name for name in later if name not in self._expected]
        guessed = sum(self._declared[name] for name in unknown) * self._seconds_a_share(at)
        return Left(here + known + guessed, is_rough=bool(unknown))

    def _left_here(self, at: float) -> float | None:
        gone, gained = at - self._began, self._share - self._start
        if gained > 0 and (gained >= _LEAST_SHARE or gone >= _LEAST_SECONDS):
            return (1.0 - self._share) * gone / gained
        expected = self._expected.get(self._stage)
        if expected is None:
            return None
        rest = expected * (1.0 - self._start) - gone
        return rest if rest > 0 else None  # it takes longer than ever: nobody knows how much

    def _weights(self) -> dict[str, float]:
        """The seconds of each stage as expected; a stage without takes its declared share of them."""
        known = sum(self._declared[name] for name in self._expected)
        rate = sum(self._expected.values()) / known if known > 0 else 1.0
        return {name: self._expected.get(name, share * rate) for name, share in self._declared.items()}

    def _seconds_a_share(self, at: float) -> float:
        """The seconds that a declared share of the work takes, by the stages whose time is known by now."""
        seconds = {name: self._seconds[name] for name in self._seconds if self._declared.get(name, 0.0) > 0}
        shares = sum(self._declared[name] for name in seconds)
        gained = self._share - self._start
        if self._stage in self._declared and self._stage not in seconds and gained > 0:
            seconds[self._stage] = at - self._began
            shares += self._declared[self._stage] * gained
        return sum(seconds.values()) / shares if shares > 0 else 0.0
