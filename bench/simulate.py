"""Simulates studies with a known truth and counts how often the statistics of the app are right.

For 20 and 200 personas and several shapes of their differences: coverage of the 95 % intervals, false
positives of the tests, Holm's family-wise error, power against the forecast. Everything counted is the
product's own code (engine/stats). Uses one core.

Run: .venv/bin/python bench/simulate.py            prints the tables
     .venv/bin/python bench/simulate.py --write    writes them to docs/statistics.md too
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not bench/, which would hide the library's own module of this name

from engine.stats.bootstrap import DEFAULT_KIND, KINDS, IntervalKind, Vector, intervals  # noqa: E402
from engine.stats.paired_tests import (  # noqa: E402
    detectable_in_deviations,
    holm,
    paired_t_of,
    power_of_t,
    sign_test,
    wilcoxon,
)
from engine.stats.shares import wilson  # noqa: E402

SIZES = (20, 200)
CONFIDENCE, ALPHA, RESAMPLES = 0.95, 0.05, 9_999
FAMILY, EFFECT = 10, 1.0
POWERS = (0.5, 0.8, 0.95)
PAGE = ROOT / "docs" / "statistics.md"
WITHIN = (0.93, 0.97)

Draw = Callable[[np.random.Generator, tuple[int, ...]], Vector]


@dataclass(frozen=True, slots=True)
class Shape:
    """How personas' differences are spread: a draw with mean 0 and standard deviation 1."""

    name: str
    draw: Draw
    required: bool = True


def _sparse(generator: np.random.Generator, size: tuple[int, ...]) -> Vector:
    """Seven of ten personas do not differ at all, the others do in steps, as with exact matches."""
    moved = generator.random(size) < 0.3
    steps = generator.choice([-1.0, 1.0, 2.0], size)
    return (moved * steps - 0.2) / np.sqrt(0.3 * 2.0 - 0.04)


SHAPES = (
    Shape("normal", lambda generator, size: generator.standard_normal(size)),
    Shape("exponential", lambda generator, size: generator.standard_exponential(size) - 1),
    Shape(
        "lognormal",
        lambda generator, size: (
            (generator.lognormal(0.0, 1.0, size) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
        ),
    ),
    Shape("mostly zero", _sparse, required=False),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often an interval held the truth, and on which side it missed it; `width` is against t's."""

    n: int
    shape: str
    kind: IntervalKind
    held: float
    too_high: float
    too_low: float
    width: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every table; return 1 when the app's interval misses its target at the largest size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=4_000, help="Simulated studies of each kind (4,000).")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="Write docs/statistics.md too.")
    given = parser.parse_args(arguments)
    began = time.process_time()
    covered = [
        entry
        for n in SIZES
        for shape in SHAPES
        for entry in coverage(shape, n, studies=given.studies, seed=given.seed)
    ]
    page = "\n\n".join(
        [
            _opening(given.studies, given.seed),
            _coverage_table(covered),
            _conclusion(covered),
            _share_table(given.studies, given.seed),
            _false_positive_table(given.studies, given.seed),
            _family_table(given.studies, given.seed),
            _power_table(given.studies, given.seed),
        ]
    )
    print(page)
    print(f"\nProcessor time: {time.process_time() - began:.0f} s on one core.")
    if given.write:
        PAGE.write_text(page + "\n", encoding="utf-8")
        print(f"Written: {PAGE.relative_to(ROOT)}")
    missed = [entry for entry in covered if entry.kind == DEFAULT_KIND and not _on_target(entry)]
    return 1 if missed else 0


# --- what is counted


def coverage(shape: Shape, n: int, *, studies: int, seed: int) -> list[Coverage]:
    """Return one record a kind of interval, over the same simulated studies; the true mean is 0."""
    drawn = _with_spread(shape.draw(_generator(seed, n, shape.name), (n, studies)))
    found, student = [], None
    for kind in reversed(KINDS):  # t first: the widths are against it
        low, high = intervals(drawn, kind, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed)
        student = high - low if student is None else student
        too_high, too_low = float(np.mean(low > 0)), float(np.mean(high < 0))
        width = float(np.median((high - low) / student))
        found.append(Coverage(n, shape.name, kind, 1 - too_high - too_low, too_high, too_low, width))
    return found[::-1]


def false_positives(shape: Shape, n: int, *, studies: int, seed: int) -> tuple[float, ...]:
    """Return how often a study without any effect is called one: by the app's verdict on one comparison,
    by the paired t-test at 5 and at 1 %, by Wilcoxon's test and by the sign test.
    """
    drawn = _with_spread(shape.draw(_generator(seed, n, f"null {shape.name}"), (n, studies)))
    p = paired_t_of(drawn)
    low, high = intervals(drawn, DEFAULT_KIND, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed)
    verdicts = (p < ALPHA) & ((low > 0) | (high < 0))
    ranks = [wilcoxon(study) < ALPHA for study in drawn.T]
    signs = [sign_test(int((study > 0).sum()), int((study < 0).sum())) < ALPHA for study in drawn.T]
    return tuple(float(np.mean(found)) for found in (verdicts, p < ALPHA, p < 0.01, ranks, signs))


def family_error(shape: Shape, n: int, *, real: int, studies: int, seed: int) -> tuple[float, float]:
    """Return how often a family of ten holds at least one false finding: uncorrected, and with Holm.

    All variants share the reference's luck; `real` of them truly differ, by one deviation.
    """
    generator = _generator(seed, n, f"family {shape.name} {real}")
    reference = shape.draw(generator, (n, studies))
    effects = np.array([EFFECT] * real + [0.0] * (FAMILY - real))
    p = np.stack([paired_t_of(shape.draw(generator, (n, studies)) + e - reference) for e in effects])
    corrected = np.array([holm(list(family)) for family in p.T], dtype=float).T
    null = effects == 0
    return float(np.mean((p[null] < ALPHA).any(axis=0))), float(
        np.mean((corrected[null] < ALPHA).any(axis=0))
    )


def power(shape: Shape, n: int, *, effect: float, studies: int, seed: int) -> float:
    """Return how often the paired t-test finds a true mean difference of `effect` deviations."""
    drawn = _with_spread(shape.draw(_generator(seed, n, f"power {shape.name} {effect:.4f}"), (n, studies)))
    return float(np.mean(paired_t_of(drawn + effect) < ALPHA))


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


def _on_target(entry: Coverage) -> bool:
    required = next(shape.required for shape in SHAPES if shape.name == entry.shape)
    return entry.n != max(SIZES) or not required or WITHIN[0] <= entry.held <= WITHIN[1]


# --- how it is told


def _opening(studies: int, seed: int) -> str:
    command = f".venv/bin/python bench/simulate.py --studies {studies} --seed {seed} --write"
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "scipy"))
    return f"""# How often are the statistics right?

Simulated studies with a known truth: {studies:,} of 20 personas and {studies:,} of 200, for each shape of the
personas' differences. What is counted is the app's own code. Made with {versions} by

    {command}

With {studies:,} studies a share of 95 or of 5 % is known to about {_error(0.95, studies)} points, one of
80 % to {_error(0.8, studies)}.

The shapes: *normal*; *exponential* and *lognormal* (sigma 1) lean to one side, as gains do when a few
personas gain much; *mostly zero*: seven of ten personas do not differ at all, as with exact matches."""


def _error(share: float, studies: int) -> str:
    return f"{196 * np.sqrt(share * (1 - share) / studies):.1f}"


def _coverage_table(covered: list[Coverage]) -> str:
    head = "| personas | differences | " + " | ".join(KINDS) + " |"
    lines = ["## Does the 95 % interval hold the truth in 95 %?", "", head, "|---|---|" + "---|" * len(KINDS)]
    for n in SIZES:
        for shape in SHAPES:
            cells = [_told(entry) for entry in covered if (entry.n, entry.shape) == (n, shape.name)]
            lines.append(f"| {n} | {shape.name} | " + " | ".join(cells) + " |")
    note = (
        "Coverage in percent; in brackets the share of studies whose interval lay wholly above the truth and "
        "wholly below it (2.5 each would be even), then its usual width against Student's t."
    )
    return "\n".join([*lines, "", note])


def _told(entry: Coverage) -> str:
    sides = f"{100 * entry.too_high:.1f} above, {100 * entry.too_low:.1f} below"
    return f"**{100 * entry.held:.1f}** ({sides}; x {entry.width:.2f})"


def _conclusion(covered: list[Coverage]) -> str:
    def largest_error(kind: str, n: int) -> float:
        required = {shape.name for shape in SHAPES if shape.required}
        return max(
            abs(entry.held - CONFIDENCE)
            for entry in covered
            if entry.kind == kind and entry.n == n and entry.shape in required
        )

    errors = {n: {kind: 100 * largest_error(kind, n) for kind in KINDS} for n in SIZES}
    best = {n: min(KINDS, key=lambda kind: errors[n][kind]) for n in SIZES}
    told = "; ".join(
        f"at {n} personas {', '.join(f'{kind} {errors[n][kind]:.1f}' for kind in KINDS)} (best: {best[n]})"
        for n in SIZES
    )
    low, high = (f"{100 * share:.0f}" for share in WITHIN)
    held = [entry for entry in covered if entry.kind == DEFAULT_KIND]
    met = "yes" if all(_on_target(entry) for entry in held) else "**no**"
    return (
        f"Largest distance from 95 % over normal, exponential and lognormal, in points: {told}. The app uses "
        f"**{DEFAULT_KIND}**. Within {low} to {high} % at {max(SIZES)} personas: {met}."
    )


def _share_table(studies: int, seed: int) -> str:
    shares = (0.5, 0.6, 0.8, 0.95)
    lines = [
        "## The share improved (Wilson's interval, 95 %)",
        "",
        "| personas | " + " | ".join(f"true share {share:.0%}" for share in shares) + " |",
        "|---|" + "---|" * len(shares),
    ]
    for n in SIZES:
        found = [100 * share_coverage(share, n, studies=studies, seed=seed) for share in shares]
        lines.append(f"| {n} | " + " | ".join(f"{value:.1f}" for value in found) + " |")
    return "\n".join(lines)


def _false_positive_table(studies: int, seed: int) -> str:
    lines = [
        "## How often is nothing called something? (at 5 %)",
        "",
        "| personas | differences | verdict | paired t | paired t at 1 % | Wilcoxon | sign test |",
        "|---|---|---|---|---|---|---|",
    ]
    for n in SIZES:
        for shape in SHAPES:
            rates = false_positives(shape, n, studies=studies, seed=seed)
            lines.append(
                f"| {n} | {shape.name} | " + " | ".join(f"{100 * rate:.1f}" for rate in rates) + " |"
            )
    note = (
        "The true mean difference is 0 in all of them. A *verdict* (better, worse) asks for both, the paired "
        "t-test and an interval without 0. With 20 personas and differences that lean strongly to one side "
        "the t-test errs more often than it says; a small sample is marked in the app. Wilcoxon's test and "
        "the sign test ask another question (is a gain as likely as a loss of that size?), whose answer is "
        "no for such differences: they are shown beside the t-test and decide nothing."
    )
    return "\n".join([*lines, "", note])


def _family_table(studies: int, seed: int) -> str:
    lines = [
        f"## Ten variants at once: at least one false finding at {100 * ALPHA:.0f} %",
        "",
        "| personas | differences | truly better | uncorrected | Holm |",
        "|---|---|---|---|---|",
    ]
    for n in SIZES:
        for shape in (SHAPES[0], SHAPES[2]):
            for real in (0, 5):
                plain, corrected = family_error(shape, n, real=real, studies=studies, seed=seed)
                lines.append(
                    f"| {n} | {shape.name} | {real} of {FAMILY} | {100 * plain:.1f} | {100 * corrected:.1f} |"
                )
    return "\n".join(lines)


def _power_table(studies: int, seed: int) -> str:
    shapes = [shape for shape in SHAPES if shape.required]
    lines = [
        "## Power of the paired t-test: forecast and found",
        "",
        "| personas | true difference, deviations | forecast | "
        + " | ".join(shape.name for shape in shapes)
        + " |",
        "|---|---|---|" + "---|" * len(shapes),
    ]
    for n in SIZES:
        for wanted in POWERS:
            effect = detectable_in_deviations(n, ALPHA, wanted)
            found = [power(shape, n, effect=effect, studies=studies, seed=seed) for shape in shapes]
            cells = " | ".join(f"{100 * value:.1f}" for value in found)
            lines.append(f"| {n} | {effect:.3f} | {100 * power_of_t(n, effect, ALPHA):.1f} | {cells} |")
    note = (
        "The smallest detectable effect that the app shows is the one with a forecast of 80 %. The forecast "
        "is exact for normal differences."
    )
    return "\n".join([*lines, "", note])


if __name__ == "__main__":
    sys.exit(main())
