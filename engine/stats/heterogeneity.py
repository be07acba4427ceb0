"""For whom: how far personas truly differ in what a variant gives them, and what each one truly gets.

A persona's difference is her true effect plus the luck of her few examples. Of 20 personas whom a variant
helps alike, luck alone makes some look worse. Owns the two variances (between personas; within, of examples
of one persona), the test that personas do not differ at all, each persona's effect with luck taken out, and
the share of personas that truly gain. Examples of one persona are taken as independent, true effects as
normal. Over several seeds what another training would give her is luck too.

Sources: DerSimonian and Laird, Meta-analysis in clinical trials (1986), for the variance between; Gelman,
Prior distributions for variance parameters in hierarchical models (2006), for the uniform prior under which
effects are drawn. The test is the one-way analysis of variance; `reliability` is what the correlation of two
halves of everybody's examples gives after Spearman and Brown's correction, averaged over all halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from engine.stats.bootstrap import Vector
from engine.stats.inference import tied
from engine.stats.levels import NOISE
from engine.stats.seeds import Retrained

MIN_PERSONAS: Final = 5
_GRID = 80  # deviations between personas that are weighed
_WIDEST = 4.0  # times the personas' spread, the largest of them
_DRAWS = 1_000
_RARE = 0.01
_ONCE = Retrained(0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What is known of single personas, in the metric's unit; vectors have a number a persona.

    `between` is the deviation of true effects, `within` that of one example of one persona. `p` tests that
    nobody truly differs. `reliability` (0..1) is the share of the personas' spread that is no luck. `effect`
    is each persona's with luck taken out, in [low, high] with 95 %, above 0 with `chance`. `share` is how
    many of all personas like these are truly above 0, in [share_low, share_high] with 95 %; None where half
    of them or more share one value, or where normal effects would hardly let as many look better (as with one
    persona far out): it would be false.
    """

    between: float
    within: float
    p: float
    reliability: float
    effect: Vector
    low: Vector
    high: Vector
    chance: Vector
    share: float | None
    share_low: float | None
    share_high: float | None


def within_variance(examples: Vector, variances: Vector) -> float | None:
    """Return the variance of one example within a persona, pooled; None where hardly anybody has two.

    `examples` and `variances` [n] are each persona's number and (n - 1) variance of her examples.
    """
    more = examples > 1
    if more.sum() < max(MIN_PERSONAS, len(examples) / 2):
        return None
    weights = examples[more] - 1
    return float((weights * variances[more]).sum() / weights.sum())


def effects(
    differences: Vector,
    examples: Vector,
    variances: Vector,
    *,
    retrained: Retrained | None = None,
    seed: int = 0,
) -> Effects | None:
    """Return what is known of single personas from their mean differences [n], or None.

    With `retrained` it holds for other seeds too, else for the training at hand. None below MIN_PERSONAS,
    where too few have two examples, and where no example differs from another.
    """
    n = len(differences)
    pooled = within_variance(examples, variances) if n >= MIN_PERSONAS else None
    if pooled is None or pooled <= NOISE:
        return None
    again = retrained or _ONCE
    of_examples, more = pooled / examples, examples > 1
    own = of_examples + again.own
    ratio = _analysis(differences, own)
    parts = of_examples.mean() ** 2 / (examples[more] - 1).sum(), again.own**2 / again.freedom
    p = float(special.fdtrc(n - 1, own.mean() ** 2 / sum(parts), ratio))
    grid, chances = _between(differences, own)
    means, deviations = _given(differences, own, grid)
    effect = chances @ means
    variances_given = deviations**2 + again.shared
    spread = np.sqrt(np.maximum(chances @ (variances_given + means**2) - effect**2, 0.0))
    chance = chances @ special.ndtr(means / np.sqrt(variances_given))
    between = _dersimonian(differences, own, ratio)
    reach = float(special.ndtri(0.975)) * spread
    told: tuple[float | None, ...] = (None, None, None)
    if not tied(differences[:, None])[0][0] and _are_normal(differences, own, grid, chances):
        drawn = _drawn_shares(differences, own, grid, chances, shared=again.shared, seed=seed)
        told = float(drawn.mean()), *map(float, np.quantile(drawn, [0.025, 0.975]))
    return Effects(
        between=between**0.5,
        within=pooled**0.5,
        p=p,
        reliability=max(0.0, 1 - 1 / ratio) if ratio > 0 else 0.0,
        effect=effect,
        low=effect - reach,
        high=effect + reach,
        chance=chance,
        share=told[0],
        share_low=told[1],
        share_high=told[2],
    )


def _analysis(differences: Vector, own: Vector) -> float:
    """The mean square between personas over that within."""
    weights = 1 / own
    centre = (weights * differences).sum() / weights.sum()
    return float((weights * (differences - centre) ** 2).sum() / (len(own) - 1))


def _dersimonian(differences: Vector, own: Vector, ratio: float) -> float:
    weights = 1 / own
    scale = weights.sum() - (weights**2).sum() / weights.sum()
    return max(0.0, (ratio - 1) * (len(own) - 1) / float(scale))


def _between(differences: Vector, own: Vector) -> tuple[Vector, Vector]:
    """Deviations between personas, [grid], and how probable each is after what was seen."""
    widest = _WIDEST * max(float(differences.std()), float(np.sqrt(own.mean())))
    grid = (np.arange(_GRID) + 0.5) * widest / _GRID  # each the middle of its part: 0 is no part of its own
    total = own + grid[:, None] ** 2
    centre, precision = _centre(differences, total)
    logs = -0.5 * (
        np.log(precision)
        + np.log(total).sum(axis=1)
        + ((differences - centre[:, None]) ** 2 / total).sum(axis=1)
    )
    chances = np.exp(logs - logs.max())
    return grid, chances / chances.sum()


def _centre(differences: Vector, total: Vector) -> tuple[Vector, Vector]:
    """The mean of all and its precision, [grid], of differences whose variances are `total` [grid, n]."""
    precision = (1 / total).sum(axis=1)
    return (differences / total).sum(axis=1) / precision, precision


def _given(differences: Vector, own: Vector, grid: Vector) -> tuple[Vector, Vector]:
    """Each persona's effect and its deviation, [grid, n], were the deviation between personas known."""
    total = own + grid[:, None] ** 2
    centre, precision = _centre(differences, total)
    shrunk = own / total  # by how much each is drawn to the mean of all
    means = differences + shrunk * (centre[:, None] - differences)
    return means, np.sqrt(own * (1 - shrunk) + shrunk**2 / precision[:, None])


def _are_normal(differences: Vector, own: Vector, grid: Vector, chances: Vector) -> bool:
    """Whether about as many personas look better as normal effects would let: Gelman's predictive check."""
    total = own + grid[:, None] ** 2
    centre, _ = _centre(differences, total)
    expected, n = float((chances @ special.ndtr(centre[:, None] / np.sqrt(total))).mean()), len(own)
    seen = round(float((np.sign(differences) + 1).sum()) / 2)
    fewer, more = special.bdtr(seen, n, expected), special.bdtr(n - seen, n, 1 - expected)
    return bool(min(fewer, more) > _RARE / 2)


def _drawn_shares(
    differences: Vector, own: Vector, grid: Vector, chances: Vector, *, shared: float, seed: int
) -> Vector:
    """The share above 0 of all personas like these, in each draw of mean and deviation."""
    draw = np.random.default_rng([seed, len(differences)])
    places = draw.choice(len(grid), size=_DRAWS, p=chances)
    centre, precision = _centre(differences, own + grid[:, None] ** 2)
    means = centre[places] + draw.standard_normal(_DRAWS) * np.sqrt(1 / precision[places] + shared)
    return np.asarray(special.ndtr(means / grid[places]))
