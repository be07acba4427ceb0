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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not bench/, which would hide the library's own module of this name

from bench.simulated import (
    ALIKE,
    AT_LEAST,
    FAMILY,
    MARGIN,
    MOST_ERRORS,
    SHAPES,
    SIZES,
    WITHIN,
    cluster_coverage,
    coverage,
    equality,
    family_error,
    for_whom,
    noise_errors,
    power,
    seeds_coverage,
    share_coverage,
    unequal_coverage,
    whom_over_seeds,
)
from engine.stats.forecast import detectable
from engine.stats.levels import FEW

PAGE = ROOT / "docs" / "statistics.md"
ABOUT = """The shapes, each with mean 0 and deviation 1: *normal*; *lopsided* (a gamma distribution of
skewness 1; the most lopsided of 28 published differences over 200 personas has 0.9); *exponential* (skewness
2); *bounded* (scores that cannot pass a ceiling which many reach); *steps* (shares of ten examples); *mostly
zero* (seven of ten personas do not differ, as with exact matches); *lognormal* (skewness 6: farther out than
anything measured, shown for what happens there, not promised)."""


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
            false, found = equality(shape, n, studies=studies, seed=seed)
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
            cells = [_percent(power(shape, n, family=family, studies=studies, seed=seed)) for shape in shapes]
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
            one = for_whom(n, mean=mean, between=between, studies=studies, seed=seed)
            counted = (one.called, one.effect_held, one.true_share, one.raw_share, one.model_share)
            rows.append((str(n), f"{mean}", f"{between}", *map(_percent, (*counted, one.share_held))))
    note = (
        "Ten examples a persona; mean and spread of true effects in deviations of one example. "
        '"They differ": the test that personas truly differ, at 5 %. The raw count of personas who look '
        "better is drawn to 50 % by the luck of few examples; the share that the app judges is not. Where "
        "half of the personas or more share one value (most exact matches), or so many look better as normal "
        "effects would let in one study of a hundred, these are no model of them, and the count stands alone."
    )
    head = (
        *("personas", "mean", "spread", '"they differ"', "a persona's interval holds", "truly gain"),
        *("raw count", "model", "its interval holds"),
    )
    return Told(f"{_table('For whom?', head, rows, note)}\n\n{_whom_over_seeds_table(studies, seed)}")


def _whom_over_seeds_table(studies: int, seed: int) -> str:
    rows = []
    for n, k in ((20, 3), (20, 5), (200, 3)):
        for between, again in ((0.0, 0.0), (0.0, 0.3), (0.3, 0.0), (0.3, 0.3)):
            one, plain = whom_over_seeds(n, k, between=between, again=again, studies=studies, seed=seed)
            counted = (one.called, plain, one.effect_held, one.true_share, one.raw_share, one.model_share)
            told = map(_percent, (*counted, one.share_held))
            rows.append((str(n), str(k), f"{between}", f"{again}", *told))
    note = (
        "The mean is 0.15, ten examples a persona. Again: the deviation of what each seed gives her alone, "
        'which another training would give to others. As examples: "they differ" if seeds were examples.'
    )
    head = (
        *(
            "personas",
            "seeds",
            "spread",
            "again",
            '"they differ"',
            "as examples",
            "a persona's interval holds",
        ),
        *("truly gain", "raw count", "model", "its interval holds"),
    )
    return _table("For whom, over seeds", head, rows, note)


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
80 % to {_error(0.8, studies)}. Families with truly better variants rest on half as many.

{ABOUT}"""


def _error(share: float, studies: int) -> str:
    return f"{196 * np.sqrt(share * (1 - share) / studies):.1f}"


if __name__ == "__main__":
    sys.exit(main())
