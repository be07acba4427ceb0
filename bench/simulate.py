"""Simulates studies with a known truth and counts how often the verdicts of the app are right.

For 10 to 200 personas and several shapes of their differences: coverage of the interval that is shown, false
verdicts in a family of 25 correlated variants, false and true findings of equality, power against the
forecast, what is said of single personas, clusters, and training from several seeds. Everything counted is
the product's own code (engine/stats). Uses one core.

Run: .venv/bin/python bench/simulate.py                    prints every table
     .venv/bin/python bench/simulate.py --only family      prints one of them
     .venv/bin/python bench/simulate.py --write            writes them to docs/statistics.md too
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy import special, stats

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not bench/, which would hide the library's own module of this name

from engine.stats.bootstrap import Vector, bootstrap_t  # noqa: E402
from engine.stats.forecast import detectable  # noqa: E402
from engine.stats.heterogeneity import effects  # noqa: E402
from engine.stats.inference import FEW, Certainty, Inference, infer  # noqa: E402
from engine.stats.paired_tests import holm, paired_t_of  # noqa: E402
from engine.stats.seeds import crossed, training_noise  # noqa: E402
from engine.stats.shares import wilson  # noqa: E402
from engine.stats.verdicts import ALPHA, EQUAL, UNCLEAR, verdict  # noqa: E402

SIZES = (10, 20, 50, 200)
CONFIDENCE, RESAMPLES = 0.95, 9_999
FAMILY, ALIKE, EFFECT = 25, 0.5, 1.0
MARGIN = 0.25  # deviations, in the tables of equality
PAGE = ROOT / "docs" / "statistics.md"
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
ABOUT = """The shapes, each with mean 0 and deviation 1: *normal*; *lopsided* (a gamma distribution of
skewness 1; the most lopsided of 28 published differences over 200 personas has 0.9); *exponential* (skewness
2); *bounded* (scores that cannot pass a ceiling which many reach); *steps* (shares of ten examples); *mostly
zero* (seven of ten personas do not differ, as with exact matches); *lognormal* (skewness 6: farther out than
anything measured, shown for what happens there, not promised)."""


# --- what is counted


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
        held = found.share_low - 0.005 <= gained <= found.share_high + 0.005
        rows.append((found.p < ALPHA, inside, gained, (own > 0).mean(), found.share, held))
    return ForWhom(*(float(value) for value in np.mean(rows, axis=0)))


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


# --- how it is told: each table's text, and whether its targets are met


@dataclass(frozen=True, slots=True)
class Told:
    """A section of the page. `met` says whether what is promised of it holds."""

    text: str
    met: bool = True


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), "", note])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _coverage_table(studies: int, seed: int) -> Told:
    found = [
        made
        for n in SIZES
        for made in (
            *(coverage(shape, n, studies=studies, seed=seed) for shape in SHAPES),
            unequal_coverage(n, studies=studies, seed=seed),
        )
    ]
    rows = [
        (
            str(one.n),
            one.shape,
            f"**{_percent(one.held)}** ({_percent(one.too_high)} above, {_percent(one.too_low)} below; x "
            f"{one.width:.2f})",
            one.kind + ("" if one.shown > 0.9995 else f" (none in {_percent(1 - one.shown)} % of studies)"),
            _percent(one.student),
            _percent(one.bootstrap),
        )
        for one in found
    ]
    met = all(one.on_target for one in found)
    at_20 = min(one.held for one in found if one.promised and one.n == 20)
    at_200 = [one.held for one in found if one.promised and one.n == 200]
    note = (
        "Coverage in percent of the studies that get an interval; in brackets the share whose interval lay "
        "wholly above the truth and wholly below it (2.5 each would be even), then its usual width against "
        f"Student's t. The last two columns are what one rule for all would give. Promised: at least "
        f"{100 * AT_LEAST:.0f} % at 20 personas (least: {_percent(at_20)}) and {100 * WITHIN[0]:.0f} to "
        f"{100 * WITHIN[1]:.0f} % at 200 ({_percent(min(at_200))} to {_percent(max(at_200))}): "
        f"{'met' if met else '**not met**'}."
    )
    head = ("personas", "differences", "interval shown", "by the rule", "t alone", "bootstrap-t alone")
    return Told(_table("Does the 95 % interval hold the truth in 95 %?", head, rows, note), met)


def _family_table(studies: int, seed: int) -> Told:
    found = [
        family_error(shape, n, real=real, studies=studies if not real else studies // 2, seed=seed)
        for n in SIZES
        for shape in SHAPES
        for real in (0, 12)
    ]
    rows = [
        (
            str(one.n),
            one.shape,
            f"{one.real} of {FAMILY}",
            _percent(one.plain),
            _percent(one.holm),
            f"**{_percent(one.rule)}**",
            _percent(one.found) if one.real else "",
        )
        for one in found
    ]
    worst = max(one.rule for one in found if one.promised)
    met = worst <= MOST_ERRORS
    note = (
        f"{FAMILY} variants whose differences go together (correlation {ALIKE} before they are shaped). "
        "False: better or worse of a variant that truly does neither. The rule asks for an interval without "
        "0 and for Holm's correction of the strictest p: of the t-test, of the bootstrap-t and, below "
        f"{FEW} personas or where ties dominate, of both with one persona more that speaks against it. "
        f"Found: of the variants that truly are better by one deviation, those called so. Promised: at "
        f"most {100 * MOST_ERRORS:.1f} % (most: {_percent(worst)}): {'met' if met else '**not met**'}."
    )
    head = ("personas", "differences", "truly better", "t-test", "t-test, Holm", "the verdict", "found")
    return Told(_table(f"{FAMILY} variants at once: at least one false verdict", head, rows, note), met)


def _equality_table(studies: int, seed: int) -> Told:
    rows, most = [], 0.0
    for n in SIZES:
        for shape in SHAPES:
            false, found = equality(shape, n, studies=max(400, studies // 5), seed=seed)
            most = max(most, false if shape.promised else 0.0)
            rows.append((str(n), shape.name, f"**{_percent(false)}**", _percent(found)))
    met = most <= MOST_ERRORS
    note = (
        f"The margin is {MARGIN} deviations here (the app's is one point). False: at least one of {FAMILY} "
        "variants called equal while each truly differs by the margin. Found: a variant that truly does not "
        f"differ, alone. Promised: at most {100 * MOST_ERRORS:.1f} % false (most: {_percent(most)}): "
        f"{'met' if met else '**not met**'}."
    )
    return Told(_table('"Equal"', ("personas", "differences", "false", "found"), rows, note), met)


def _power_table(studies: int, seed: int) -> Told:
    shapes = [shape for shape in SHAPES if shape.promised]
    rows = []
    for n in SIZES:
        for family in (1, 5, FAMILY):
            cells = [
                _percent(power(shape, n, family=family, studies=max(500, studies // 4), seed=seed))
                for shape in shapes
            ]
            rows.append((str(n), str(family), f"{detectable(n, family):.2f}", *cells))
    note = (
        "How often the verdict finds the difference that the app calls detectable in so large a family; "
        "80 is forecast."
    )
    head = ("personas", "family", "detectable, deviations", *(shape.name for shape in shapes))
    return Told(_table("Power: forecast and found", head, rows, note))


def _whom_table(studies: int, seed: int) -> Told:
    rows = []
    for n in SIZES:
        for mean, between in ((0.15, 0.0), (0.15, 0.15), (0.15, 0.3), (0.3, 0.6)):
            one = for_whom(n, mean=mean, between=between, studies=max(500, studies // 5), seed=seed)
            counted = (one.called, one.effect_held, one.true_share, one.raw_share, one.model_share)
            rows.append((str(n), f"{mean}", f"{between}", *map(_percent, (*counted, one.share_held))))
    note = (
        "Ten examples a persona; mean and spread of true effects in deviations of one example. "
        '"They differ": the test that personas truly differ, at 5 %. The raw count of personas who look '
        "better is drawn to 50 % by the luck of few examples; the share that the app judges is not."
    )
    head = (
        *("personas", "mean", "spread", '"they differ"', "a persona's interval holds", "truly gain"),
        *("raw count", "model", "its interval holds"),
    )
    return Told(_table("For whom?", head, rows, note))


def _seeds_table(studies: int, seed: int) -> Told:
    rows = []
    for n in (20, 200):
        for k in (3, 5):
            for of_seed in (0.0, 0.1, 0.3):
                held = seeds_coverage(n, k, of_seed=of_seed, studies=studies, seed=seed)
                rows.append((str(n), str(k), f"{of_seed}", *map(_percent, held)))
    note = (
        "Seed: the deviation that another seed adds to everybody, in deviations between personas. The last "
        "column is the interval over the personas of one training, which knows nothing of seeds."
    )
    head = ("personas", "seeds", "seed", "over both", "one training")
    noise = [
        (str(repeats), *map(_percent, noise_errors(repeats, studies=studies, seed=seed)))
        for repeats in (1, 2, 4, 9)
    ]
    told = (
        "How often a difference that another seed alone made is called more than that (5 would be right): "
        "by the bound that all pairs of repeats give, and by the largest difference seen."
    )
    return Told(
        _table("Seeds: does the 95 % interval over personas and seeds hold?", head, rows, note)
        + "\n\n"
        + _table("The noise of training", ("repeats", "the bound", "the largest seen"), noise, told)
    )


def _cluster_table(studies: int, seed: int) -> Told:
    rows = []
    for sizes in ((5, 5, 5, 5), (50, 50, 50, 50), (100, 50, 30, 20), (50, 40, 35, 30, 25, 20)):
        for alike in (0.0, 0.07, 0.33):
            held = cluster_coverage(sizes, alike=alike, studies=studies, seed=seed)
            rows.append((", ".join(map(str, sizes)), f"{alike}", *map(_percent, held)))
    note = (
        "Personas of one cluster share an adapter, so they share its luck (0.07 to 0.33 measured). The "
        "interval by cluster is never narrower than that by persona, so it is wide where nothing is shared."
    )
    head = ("personas a cluster", "intra-class correlation", "by cluster", "by persona")
    return Told(_table("Clusters: does the 95 % interval hold?", head, rows, note))


def _share_table(studies: int, seed: int) -> Told:
    shares = (0.5, 0.6, 0.8, 0.95)
    rows = [
        (str(n), *(_percent(share_coverage(share, n, studies=studies, seed=seed)) for share in shares))
        for n in SIZES
    ]
    head = ("personas", *(f"true share {share:.0%}" for share in shares))
    return Told(_table("The raw share improved (Wilson's interval, 95 %)", head, rows, ""))


TABLES: dict[str, Callable[[int, int], Told]] = {
    "coverage": _coverage_table,
    "family": _family_table,
    "equal": _equality_table,
    "power": _power_table,
    "whom": _whom_table,
    "seeds": _seeds_table,
    "clusters": _cluster_table,
    "share": _share_table,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; return 1 when what is promised does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2_000, help="Simulated studies of each kind (2,000).")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(TABLES), help="Print this table only.")
    parser.add_argument("--write", action="store_true", help="Write docs/statistics.md too.")
    given = parser.parse_args(arguments)
    began = time.process_time()
    told = list(_made(given.studies, given.seed, given.only))
    page = "\n\n".join([_opening(given.studies, given.seed), *(one.text.rstrip() for one in told)])
    print(page)
    print(f"\nProcessor time: {time.process_time() - began:.0f} s on one core.")
    if given.write and given.only is None:
        PAGE.write_text(page + "\n", encoding="utf-8")
        print(f"Written: {PAGE.relative_to(ROOT)}")
    return 0 if all(one.met for one in told) else 1


def _made(studies: int, seed: int, only: str | None) -> Iterator[Told]:
    for name, make in TABLES.items():
        if only in (None, name):
            one = make(studies, seed)
            command = f".venv/bin/python bench/simulate.py --only {name} --studies {studies} --seed {seed}"
            yield Told(f"{one.text.rstrip()}\n\nPrinted by `{command}`.", one.met)


def _opening(studies: int, seed: int) -> str:
    command = f".venv/bin/python bench/simulate.py --studies {studies} --seed {seed} --write"
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "scipy"))
    sizes = ", ".join(map(str, SIZES[:-1])) + f" and {SIZES[-1]}"
    return f"""# How often are the statistics right?

Simulated studies with a known truth: {studies:,} of {sizes} personas each, for each shape of the personas'
differences. What is counted is the app's own code. Made with {versions} by

    {command}

With {studies:,} studies a share of 95 or of 5 % is known to about {_error(0.95, studies)} points, one of
80 % to {_error(0.8, studies)}. Families
with truly better variants rest on half as many, the tables of equality, power and single personas on a fourth
or a fifth.

{ABOUT}"""


def _error(share: float, studies: int) -> str:
    return f"{196 * np.sqrt(share * (1 - share) / studies):.1f}"


if __name__ == "__main__":
    sys.exit(main())
