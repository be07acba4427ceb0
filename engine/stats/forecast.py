"""What a pilot says about the power of the full study. Owns the forecast over plain persona differences.

The pilot's mean is an estimate too: power at the observed effect says hardly more than the pilot's own p, so
the forecast stands beside one for an effect chosen beforehand, and both carry the uncertainty of the spread.
Source: Browne, On the use of a pilot sample for sample size determination (1995), for planning with an upper
limit of the standard deviation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from engine.core.errors import EngineError
from engine.core.wording import count, percent, signed_points
from engine.stats.inference import MIN_DIFFER
from engine.stats.levels import ALPHA, CONFIDENCE, NOISE, POWER
from engine.stats.paired_tests import Vector, detectable_in_deviations, paired_t, power_of_t

MOST_PERSONAS = 100_000
_STRICTER = 22.0
_CAUTIOUS = 0.8  # one-sided confidence of the upper limit of the deviation (Browne)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What awaits one true effect (a fraction): power at full size, personas needed for 80 % of it.

    `power_low` and `needed_high` are those of a deviation at its upper limit. `needed` is None where more
    than MOST_PERSONAS would be needed.
    """

    effect: float
    power: float
    power_low: float
    needed: int | None
    needed_high: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """A pilot of `n` personas and what to expect of `n_full`, judged among `family` variants. All effects are
    fractions.

    [mean_low, mean_high] is Student's 95 % interval of the pilot's mean; `deviation_high` the upper 80 %
    limit of the deviation between personas; `detectable` what the full study finds in four of five repeats.
    """

    n: int
    n_full: int
    family: int
    mean: float
    mean_low: float
    mean_high: float
    p: float
    deviation: float
    deviation_high: float
    detectable: float
    observed: Prospect
    criterion: Prospect
    words: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return asdict(self)


def forecast(differences: Vector, *, n_full: int, criterion: float, family: int = 1) -> Forecast:
    """Return what a pilot's persona differences, of shape (n >= 3,), say about a study of `n_full`.

    `criterion` is the smallest difference worth having. Found is what gets a verdict at 5 % among `family`
    variants. Raises EngineError where fewer than 3 personas or differences that are all equal leave no spread
    to plan with, and where the full study is too small for any verdict.
    """
    n = len(differences)
    deviation = float(np.std(differences, ddof=1)) if n > 1 else 0.0
    if n < 3 or deviation <= NOISE:
        reason = (
            f"only {count(n, 'persona')} {'is' if n == 1 else 'are'} paired"
            if n < 3
            else "all its personas differ by the same amount"
        )
        raise EngineError(
            f"This pilot says nothing about power: {reason}.",
            "Run a pilot of 10 to 20 personas: --set personas=20",
        )
    if n_full < MIN_DIFFER:
        raise EngineError(
            f"A study of {n_full} personas finds nothing, whatever the pilot says.",
            f"Below {MIN_DIFFER} personas there is no verdict.",
        )
    mean = float(np.mean(differences))
    half = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * deviation / n**0.5
    high = upper_limit(deviation, n)
    observed, wanted = (_prospect(effect, n_full, deviation, high, family) for effect in (mean, criterion))
    made = Forecast(
        n=n,
        n_full=n_full,
        family=family,
        mean=mean,
        mean_low=mean - half,
        mean_high=mean + half,
        p=paired_t(differences),
        deviation=deviation,
        deviation_high=high,
        detectable=detectable(n_full, family) * deviation,
        observed=observed,
        criterion=wanted,
        words=(),
    )
    return replace(made, words=_words(made))


def detectable(n: int, family: int = 1) -> float:
    """Return the smallest mean difference, in standard deviations, that the verdict on one of `family`
    variants finds in four of five studies of n >= 2 personas."""
    return detectable_in_deviations(n, ALPHA / max(1, family), POWER) * _strictness(n, family)


def power_of_verdict(n: int, in_deviations: float, family: int = 1) -> float:
    """Return how often the verdict on one of `family` variants finds so large a mean difference."""
    if n < MIN_DIFFER:
        return 0.0
    return power_of_t(n, in_deviations / _strictness(n, family), ALPHA / max(1, family))


def needed(effect: float, deviation: float, *, power: float = POWER, family: int = 1) -> int | None:
    """Return how many personas find a true `effect` with `power` in the verdict on one of `family` variants;
    None above MOST_PERSONAS.

    Found from the normal approximation, which is at most a few personas short of the verdict's number.
    """
    in_deviations = abs(effect) / deviation
    alpha = ALPHA / max(1, family)
    reach = float(special.ndtri(1 - alpha / 2) + special.ndtri(power))
    if in_deviations * MOST_PERSONAS**0.5 <= reach:
        return None
    n = max(MIN_DIFFER, round((reach / in_deviations) ** 2))
    while n > MIN_DIFFER and power_of_verdict(n - 1, in_deviations, family) >= power:
        n -= 1
    while power_of_verdict(n, in_deviations, family) < power:
        n += 1
    return n if n <= MOST_PERSONAS else None


def _strictness(n: int, family: int) -> float:
    """By how much larger an effect must be for the verdict than for the t-test it rests on, as simulated
    (docs/statistics.md): a family of few personas is corrected by a stricter p."""
    return 1 + _STRICTER / n**1.5 if family > 1 else 1.0


def upper_limit(deviation: float, n: int) -> float:
    """Return the one-sided 80 % upper limit of a normal deviation that was estimated from `n` >= 2."""
    return deviation * float((n - 1) / special.chdtri(n - 1, _CAUTIOUS)) ** 0.5


def _prospect(effect: float, n_full: int, deviation: float, high: float, family: int) -> Prospect:
    return Prospect(
        effect=effect,
        power=power_of_verdict(n_full, abs(effect) / deviation, family),
        power_low=power_of_verdict(n_full, abs(effect) / high, family),
        needed=needed(effect, deviation, family=family),
        needed_high=needed(effect, high, family=family),
    )


def _words(made: Forecast) -> tuple[str, ...]:
    """What the numbers allow to be said, and no more."""
    wanted = made.criterion
    among = f" among {made.family} variants" if made.family > 1 else ""
    told = [
        f"A true difference of {_points(wanted.effect)} would be found{among} by {made.n_full} personas in"
        f" {_range(wanted.power_low, wanted.power)} of repeats;"
        f" {_count(wanted.needed, wanted.needed_high)} find it in four of five.",
        f"{made.n_full} personas find a true difference of {_points(made.detectable)} in four of five"
        " repeats; smaller ones are easily missed.",
    ]
    spread = f"{_points(made.mean_low)} to {_points(made.mean_high)}"
    if made.mean_low > 0 or made.mean_high < 0:
        told.append(
            f"Here {_points(made.mean)} was seen ({spread}). Pilots that stand out tend to overrate:"
            " expect less of the full study."
        )
    else:
        told.append(
            f"Here {_points(made.mean)} was seen, but anything from {spread} fits: the pilot alone does not"
            " say whether there is a gain."
        )
    if made.mean_high < wanted.effect:
        told.append(f"A gain of {_points(wanted.effect)} is unlikely: it lies above all that fits the pilot.")
    return tuple(told)


def _points(value: float) -> str:
    return f"{signed_points(value)} points"


def _range(low: float, high: float) -> str:
    told = ("over 99 %" if share > 0.99 else percent(share) for share in (low, high))
    return " to ".join(dict.fromkeys(told))


def _count(low: int | None, high: int | None) -> str:
    if low is None:
        return f"more than {MOST_PERSONAS:,} personas"
    if high is None or high == low:
        return f"{low:,} personas" if high else f"at least {low:,} personas"
    return f"{low:,} to {high:,} personas"
