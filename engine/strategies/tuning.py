"""What tuning tries: which settings of a strategy, on how many personas, within a budget that is told.

Owns the drawing of settings from a strategy's space and the rungs of successive halving: many settings on few
personas, the better half on twice as many, and so on up to all. Launches nothing and reads no score.
"""

import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.core.errors import EngineError
from engine.core.wording import duration
from engine.strategies.spec import Experiment, validate

LEAST_PERSONAS, MOST_RUNGS = 8, 3
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a tuning may cost: so many runs on all personas, or so many seconds."""

    runs: float | None = None
    seconds: float | None = None

    @classmethod
    def read(cls, text: str) -> "Budget":
        """Read "6" (runs), "90s", "10m" or "1.5h". Raises EngineError for anything else."""
        number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "")
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if not (math.isfinite(amount) and amount > 0):
            raise EngineError(f"{text!r} is no budget.", "Give runs (--budget 6) or time (--budget 10m).")
        return cls(seconds=amount * _UNITS[unit]) if unit else cls(runs=amount)

    def in_runs(self, seconds_a_run: float | None) -> float:
        """Return the budget in runs on all personas, of which each takes so long here.

        Raises EngineError where that is needed and not known, and where it does not pay for two.
        """
        if self.runs is not None:
            return self.runs
        assert self.seconds is not None
        if not seconds_a_run:
            raise EngineError("What a run costs here is not known yet.", "Give runs first: --budget 2")
        if self.seconds < 2 * seconds_a_run:
            raise EngineError(
                f"{duration(self.seconds)} do not pay for two runs of {duration(seconds_a_run)} each: the "
                "defaults and one other.",
                f"Give {math.ceil(2 * seconds_a_run / 60)}m or more.",
            )
        return self.seconds / seconds_a_run


def that_fit(rung: "Rung", *, spent: float, budget: Budget, seconds_each: float) -> "Rung":
    """Return a round with as many settings as the time that is left pays for, two at least.

    `spent` seconds are gone, and another setting in this round takes `seconds_each`, by what was measured.
    """
    if budget.seconds is None or seconds_each <= 0:
        return rung
    most = int((budget.seconds - spent) // seconds_each)
    return replace(rung, settings=max(2, min(rung.settings, most)))


@dataclass(frozen=True, slots=True)
class Rung:
    """One round: so many settings, each run on so many personas (None: on all)."""

    settings: int
    personas: int | None


def rungs(budget: float, personas: int, *, is_cut: bool, most: int) -> tuple[Rung, ...]:
    """Return the rounds that a budget pays for, the last one on all personas.

    There are `most` settings; a budget beyond them leaves more of them in the later rounds. `budget` counts
    runs on all personas: one on a half costs a half, and what a run goes on with from a smaller one it does
    not pay again. `is_cut` says that the strategy can leave personas out; where it cannot there is one round.
    Raises EngineError where the budget is below two runs.
    """
    if budget < 2:
        raise EngineError(
            f"A budget of {budget:g} runs compares nothing.", "Give 2 or more: the defaults and one other."
        )
    levels = 1
    while is_cut and levels < MOST_RUNGS and personas / 2**levels >= LEAST_PERSONAS:
        levels += 1
    count, enough = 2, most * 2 ** (levels - 1)
    while count < enough and cost(_halved(count + 1, levels, personas, most), personas) <= budget:
        count += 1
    return _halved(count, levels, personas, most)


def cost(planned: tuple[Rung, ...], personas: int) -> float:
    """Return what rounds cost in runs on all personas."""
    paid, before = 0.0, 0
    for rung in planned:
        here = personas if rung.personas is None else rung.personas
        paid += rung.settings * (here - before) / personas
        before = here
    return paid


def _halved(count: int, levels: int, personas: int, most: int) -> tuple[Rung, ...]:
    """Return rounds that halve the settings, of which there are `most`, and double the personas; two settings
    reach the end."""
    found = []
    for level in range(levels):
        share = 2 ** (levels - 1 - level)
        on = None if share == 1 else math.ceil(personas / share)
        found.append(Rung(max(2, min(most, count // 2**level)), on))
    return tuple(found)


def draw(entry: Experiment, count: int, *, seed: int) -> list[Settings]:
    """Return so many settings, the defaults first, the others drawn from the strategy's space by the seed.

    A larger count holds the smaller. Raises EngineError where the strategy has no space.
    """
    if not entry.space:
        raise EngineError(
            f"{entry.name} has nothing to tune.", "Try another experiment: python -m engine experiments"
        )
    names = list(entry.space)
    grid = [dict(zip(names, values, strict=True)) for values in itertools.product(*entry.space.values())]
    random.Random(f"tune/{entry.name}/{seed}").shuffle(grid)
    defaults = entry.parameters().model_dump(mode="json")
    found: list[Settings] = [{}]
    for one in grid:
        made = validate(entry, one).parameters.model_dump(mode="json")
        if made != defaults and len(found) < count:
            found.append({name: value for name, value in one.items() if made[name] != defaults[name]})
    return found
