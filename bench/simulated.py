"""What the simulation counts: studies with a known truth, and how often the statistics are right of them.

Everything counted is the product's own code (engine/stats). Tells nothing; bench/simulate.py does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from engine.results.comparing.grounds import mean_over_seeds
from engine.stats.bootstrap import Vector, bootstrap_t
from engine.stats.compare import effects_of
from engine.stats.forecast import detectable
from engine.stats.heterogeneity import Effects, effects
from engine.stats.inference import Certainty, Inference, infer
from engine.stats.levels import ALPHA, CONFIDENCE
from engine.stats.paired_tests import holm, paired_t_of
from engine.stats.pairing import Pairing, pair
from engine.stats.seeds import crossed, training_noise
from engine.stats.shares import wilson
from engine.stats.verdicts import EQUAL, UNCLEAR, verdict

SIZES = (10, 20, 50, 200)
RESAMPLES = 9_999
FAMILY, ALIKE, EFFECT = 25, 0.5, 1.0
MARGIN = 0.25  # deviations, in the tables of equality
WITHIN, AT_LEAST, MOST_ERRORS = (0.93, 0.97), 0.90, 0.055


@dataclass(frozen=True, slots=True)
class Shape:
    """How personas' differences are spread: `of` makes of a normal draw one with mean 0 and deviation 1.

    So draws that go together stay together, whatever the shape. `promised`: the targets are held for it.
    """

    name: str
    of: Callable[[Vector], Vector]
    promised: bool = True


def _by_quantiles(known: stats.rv_frozen, sign: float = 1.0) -> Callable[[Vector], Vector]:
    places = np.linspace(-6.5, 6.5, 8_001)
    found = (known.ppf(special.ndtr(places)) - known.mean()) / known.std()
    return lambda normal: np.asarray(sign * np.interp(normal, places, found))


def _sparse(normal: Vector) -> Vector:
    """Seven of ten personas do not differ at all, the others do in steps, as with exact matches."""
    lost, gained = special.ndtri(0.2), special.ndtri(0.9)
    return np.asarray(np.where(normal < lost, -1.0, np.where(normal > gained, 2.0, 0.0)) / np.sqrt(0.6))


def _tenths(normal: Vector) -> Vector:
    """Differences of shares of ten examples: many personas share a value."""
    steps = special.ndtr(np.arange(-9.5, 10) / 2)
    held = np.diff(np.concatenate([[0.0], steps, [1.0]]))
    return np.round(2 * normal) / np.sqrt((held * np.arange(-10, 11) ** 2).sum())


SHAPES = (
    Shape("normal", lambda normal: normal),
    Shape("lopsided", _by_quantiles(stats.gamma(4))),
    Shape("exponential", _by_quantiles(stats.expon())),
    Shape("bounded", _by_quantiles(stats.beta(2, 0.7))),
    Shape("steps", _tenths),
    Shape("mostly zero", _sparse),
    Shape("lognormal", _by_quantiles(stats.lognorm(1.0)), promised=False),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often an interval held the truth, and on which side it missed it; `width` is against t's."""

    n: int
    shape: str
    promised: bool
    kind: str
    shown: float
    held: float
    too_high: float
    too_low: float
    width: float
    student: float
    bootstrap: float

    @property
    def on_target(self) -> bool:
        if not self.promised or self.n not in (20, 200):
            return True
        return self.held >= AT_LEAST if self.n == 20 else WITHIN[0] <= self.held <= WITHIN[1]


def draw(generator: np.random.Generator, shape: Shape, n: int, studies: int, family: int = 1) -> Vector:
    """Return differences [n, studies, family] of the shape itself; a family's variants go together."""
    shared = generator.standard_normal((n, studies, 1))
    own = generator.standard_normal((n, studies, family))
    if family == 1:
        return shape.of(own)
    return shape.of(np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own)


def coverage(shape: Shape, n: int, *, studies: int, seed: int) -> Coverage:
    """Return how often the interval that is shown holds the true mean, 0, and how often two others would."""
    drawn = draw(_generator(seed, n, shape.name), shape, n, studies)[..., 0]
    return _covered(shape.name, drawn, None, promised=shape.promised, seed=seed)


def unequal_coverage(n: int, *, studies: int, seed: int) -> Coverage:
    """Return the same where half of the personas bring 2 examples each and half 20, with skewed examples."""
    generator = _generator(seed, n, "unequal")
    examples = np.where(np.arange(n) % 2 == 0, 2.0, 20.0)
    noise = [generator.gamma(m, 1.0, studies) / m - 1 for m in examples]  # the mean of m exponential ones
    drawn = 0.3 * generator.standard_normal((n, studies)) + np.stack(noise)
    return _covered("unequal examples", drawn, Certainty(examples, 1.0), promised=True, seed=seed)


def _covered(name: str, drawn: Vector, certainty: Certainty | None, *, promised: bool, seed: int) -> Coverage:
    drawn = _with_spread(drawn)
    found = infer(drawn, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed, certainty=certainty)
    shown = np.isfinite(found.low)
    low, high = found.low[shown], found.high[shown]
    student = _student(drawn)
    bootstrap = bootstrap_t(
        drawn, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed, stretch=np.ones(drawn.shape[1])
    )
    too_high, too_low = float(np.mean(low > 0)), float(np.mean(high < 0))
    kinds = Counter(kind for kind, is_shown in zip(found.kinds, shown, strict=True) if is_shown)
    return Coverage(
        n=len(drawn),
        shape=name,
        promised=promised,
        kind=", ".join(f"{kind} {100 * times / shown.sum():.0f} %" for kind, times in kinds.most_common()),
        shown=float(shown.mean()),
        held=1 - too_high - too_low,
        too_high=too_high,
        too_low=too_low,
        width=float(np.median((high - low) / (student[1] - student[0])[shown])),
        student=float(np.mean((student[0] <= 0) & (student[1] >= 0))),
        bootstrap=float(np.mean((bootstrap.low <= 0) & (bootstrap.high >= 0))),
    )


def _student(studies: Vector) -> tuple[Vector, Vector]:
    n = len(studies)
    half = special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) * studies.std(axis=0, ddof=1) / np.sqrt(n)
    return studies.mean(axis=0) - half, studies.mean(axis=0) + half


@dataclass(frozen=True, slots=True)
class FamilyError:
    """How often a family of 25 holds at least one false verdict: by the t-test alone, by that with Holm's
    correction, and by the rule. `found` is the share of the truly better that the rule calls better."""

    n: int
    shape: str
    promised: bool
    real: int
    plain: float
    holm: float
    rule: float
    found: float


def family_error(shape: Shape, n: int, *, real: int, studies: int, seed: int) -> FamilyError:
    """Return how often a family of 25 errs, `real` of which truly are better, by a deviation.

    The differences themselves have the shape: between two scores of one shape, skewness would cancel.
    """
    drawn = draw(_generator(seed, n, f"family {shape.name} {real}"), shape, n, studies, FAMILY)
    drawn[..., :real] += EFFECT
    flat = drawn.reshape(n, -1)
    p = _t(flat).reshape(studies, FAMILY)
    words = _words(flat, p, seed=seed)
    null = np.arange(FAMILY) >= real
    corrected = _corrected(p)
    return FamilyError(
        n=n,
        shape=shape.name,
        promised=shape.promised,
        real=real,
        plain=float(np.mean((p[:, null] < ALPHA).any(axis=1))),
        holm=float(np.mean((corrected[:, null] < ALPHA).any(axis=1))),
        rule=float(np.mean((words[:, null] != UNCLEAR).any(axis=1))),
        found=float(np.mean(words[:, ~null] != UNCLEAR)) if real else float("nan"),
    )


def _words(flat: Vector, p: Vector, *, seed: int, margin: float | None = None) -> Vector:
    """The verdict on each of a family's variants. Where the t-test with Holm's correction finds nothing
    (neither a difference nor, with a margin, equality), no stricter p can: those are not resampled."""
    same = _equal_t(flat, margin).reshape(p.shape)
    hopeful = ((_corrected(p) < ALPHA) | (_corrected(same) < ALPHA)).ravel()
    found = infer(flat[:, hopeful], confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed, margin=margin)
    strict, equal, low, high = (np.ones(p.size), np.ones(p.size), np.zeros(p.size), np.zeros(p.size))
    strict[hopeful], low[hopeful], high[hopeful] = found.p_strict, found.low, found.high
    equal[hopeful] = np.nan_to_num(found.p_equal, nan=1.0)
    words = []
    for family in range(len(p)):
        own = slice(family * FAMILY, (family + 1) * FAMILY)
        for row in zip(low[own], high[own], holm(list(strict[own])), holm(list(equal[own])), strict=True):
            words.append(
                verdict(dict(zip(("ci_low", "ci_high", "p_holm", "p_equal_holm"), row, strict=True)))
            )
    return np.array(words).reshape(p.shape)


def _corrected(p: Vector) -> Vector:
    return np.array([holm(list(family)) for family in p], dtype=float)


def _t(flat: Vector) -> Vector:
    """Student's p; 1 where nothing differs."""
    found = np.ones(flat.shape[1])
    spread = flat.std(axis=0) > 1e-9
    found[spread] = paired_t_of(flat[:, spread])
    return found


def _equal_t(flat: Vector, margin: float | None) -> Vector:
    if margin is None:
        return np.ones(flat.shape[1])
    error = np.maximum(flat.std(axis=0, ddof=1), 1e-12) / np.sqrt(len(flat))
    return np.asarray(special.stdtr(len(flat) - 1, (np.abs(flat.mean(axis=0)) - margin) / error))


def equality(shape: Shape, n: int, *, studies: int, seed: int) -> tuple[float, float]:
    """Return how often a family of 25 holds a false "equal" (all truly differ by the margin), and how often a
    variant that truly does not differ is called equal, alone."""
    drawn = draw(_generator(seed, n, f"equal {shape.name}"), shape, n, studies, FAMILY)
    apart = (drawn + MARGIN).reshape(n, -1)
    words = _words(apart, _t(apart).reshape(studies, FAMILY), seed=seed, margin=MARGIN)
    same = _with_spread(drawn[..., 0])
    found = infer(same, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed, margin=MARGIN)
    return float(np.mean((words == EQUAL).any(axis=1))), float(np.mean(found.p_equal < ALPHA))


def power(shape: Shape, n: int, *, family: int, studies: int, seed: int) -> float:
    """Return how often the verdict finds the effect that the app calls detectable in a family of that size,
    of which no other variant differs."""
    drawn = _with_spread(draw(_generator(seed, n, f"power {shape.name}"), shape, n, studies)[..., 0])
    drawn = drawn + detectable(n, family)
    found = infer(drawn, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed)
    return float(np.mean(_is_better(found, family)))


def _is_better(found: Inference, family: int) -> Vector:
    p = found.p_strict if family > 1 else found.p_alone
    return np.asarray((found.low > 0) & (family * p < ALPHA))


@dataclass(frozen=True, slots=True)
class ForWhom:
    """What is said of single personas: how often "they differ" is said, how often an effect's interval holds
    the true one, and the share that truly gain: true, raw count, model, how often its interval holds it."""

    called: float
    effect_held: float
    true_share: float
    raw_share: float
    model_share: float
    share_held: float


def for_whom(n: int, *, mean: float, between: float, studies: int, seed: int) -> ForWhom:
    """Count it with 10 examples a persona, in deviations of one example."""
    generator = _generator(seed, n, f"whom {mean} {between}")
    rows = []
    for study in range(studies):
        truth = mean + between * generator.standard_normal(n)
        examples = truth[:, None] + generator.standard_normal((n, 10))
        own = examples.mean(axis=1)
        found = effects(own, np.full(n, 10.0), examples.var(axis=1, ddof=1), seed=study)
        assert found is not None
        gained = float(special.ndtr(mean / max(between, 1e-12)))
        inside = float(((found.low <= truth) & (truth <= found.high)).mean())
        rows.append((found.p < ALPHA, inside, gained, (own > 0).mean(), *_share(found, gained)))
    return ForWhom(*(float(value) for value in np.nanmean(rows, axis=0)))


def whom_over_seeds(
    n: int, k: int, *, between: float, again: float, studies: int, seed: int
) -> tuple[ForWhom, float]:
    """Count the same over `k` seeds, each of which lets others gain with a deviation of `again`; and how
    often "they differ" is said where seeds are taken for nothing but more examples."""
    generator = _generator(seed, n, f"whom over seeds {k} {between} {again}")
    rows = []
    for study in range(studies):
        truth = 0.15 + between * generator.standard_normal(n)
        seen = truth[:, None] + again * generator.standard_normal((n, k))
        same = generator.standard_normal((n, 10)) * 0.5**0.5  # what an example does under every seed
        values = seen[:, :, None] + same[:, None] + generator.standard_normal((n, k, 10)) * 0.5**0.5
        pairing = _over_seeds(values)
        found, plain = (effects_of(one, seed=study) for one in (pairing, replace(pairing, retrained=None)))
        assert found is not None
        assert plain is not None
        inside = float(((found.low <= truth) & (truth <= found.high)).mean())
        gained = float(special.ndtr(0.15 / max(between, 1e-12)))
        looks = (pairing.differences > 0).mean()
        told = (found.p < ALPHA, inside, gained, looks, *_share(found, gained))
        rows.append((*told, plain.p < ALPHA))
    *told, plain_called = (float(value) for value in np.nanmean(rows, axis=0))
    return ForWhom(*told), plain_called


def _over_seeds(values: Vector) -> Pairing:
    """One pairing over seeds, of differences [personas, seeds, examples]."""
    n, k, m = values.shape
    names = [f"p{who:03}" for who in range(n)]
    paired = []
    for seed in range(k):
        ours = [
            (f"{name}/{at}", name, float(values[who, seed, at]))
            for who, name in enumerate(names)
            for at in range(m)
        ]
        paired.append(pair(ours, [(at, name, 0.0) for at, name, _ in ours]))
    over = values.mean(axis=1).var(axis=1, ddof=1)
    return mean_over_seeds(paired, {name: (m, float(one)) for name, one in zip(names, over, strict=True)})


def _share(found: Effects, gained: float) -> tuple[float, bool | float]:
    """The share by the model and whether its interval holds the true one; nothing where there is none."""
    if found.share is None or found.share_low is None or found.share_high is None:
        return np.nan, np.nan
    return found.share, found.share_low - 0.005 <= gained <= found.share_high + 0.005


def seeds_coverage(n: int, k: int, *, of_seed: float, studies: int, seed: int) -> tuple[float, float]:
    """Return how often the interval over personas and seeds holds the truth, and that of one training."""
    generator = _generator(seed, n, f"seeds {k} {of_seed}")
    held = alone = 0
    for _ in range(studies):
        rest = generator.standard_normal((n, k))
        drawn = generator.standard_normal((n, 1)) + of_seed * generator.standard_normal((1, k)) + 0.5 * rest
        found = crossed(drawn)
        assert found is not None
        held += found.low <= 0 <= found.high
        low, high = _student(drawn[:, :1])
        alone += bool(low[0] <= 0 <= high[0])
    return held / studies, alone / studies


def noise_errors(repeats: int, *, studies: int, seed: int) -> tuple[float, float]:
    """Return how often a difference that another seed alone made passes the bound, and how often it passes
    the largest difference between the first training and its repeats."""
    means = _generator(seed, repeats, "noise").standard_normal((studies, repeats + 2))
    passed = largest = 0
    for first, second, *again in means:
        found = training_noise([[first, *again]])
        assert found is not None
        passed += abs(second - first) > found.limit
        largest += abs(second - first) > max(abs(one - first) for one in again)
    return passed / studies, largest / studies


def cluster_coverage(sizes: Sequence[int], *, alike: float, studies: int, seed: int) -> tuple[float, float]:
    """Return how often the interval by cluster holds the truth, and how often the one by persona does."""
    generator = _generator(seed, sum(sizes), f"clusters {len(sizes)} {alike}")
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shared = generator.standard_normal((len(sizes), studies))[labels]
    drawn = np.sqrt(alike) * shared + np.sqrt(1 - alike) * generator.standard_normal((len(labels), studies))
    found = infer(drawn, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed, clusters=labels)
    plain = _student(drawn)
    return (
        float(np.mean((found.low <= 0) & (found.high >= 0))),
        float(np.mean((plain[0] <= 0) & (plain[1] >= 0))),
    )


def share_coverage(share: float, n: int, *, studies: int, seed: int) -> float:
    """Return how often Wilson's interval of the share improved holds the true share."""
    wins = _generator(seed, n, f"share {share}").binomial(n, share, studies)
    held = {int(k): wilson(int(k), n, confidence=CONFIDENCE) for k in np.unique(wins)}
    return float(np.mean([held[int(k)][0] <= share <= held[int(k)][1] for k in wins]))


def _generator(seed: int, n: int, what: str) -> np.random.Generator:
    return np.random.default_rng([seed, n, *what.encode()])


def _with_spread(drawn: Vector) -> Vector:
    """Leave out studies whose personas all differ alike: the app gives those no interval."""
    return drawn[:, drawn.std(axis=0) > 1e-9]
