"""What choosing does to the numbers that were chosen on: simulated studies in which nothing differs.

Three questions, answered by the product's own code (engine/stats). How often does routing look better on the
val that it chose on, and how often where each fold of val is judged by the choice of the others? The same
for the weights of a merge. And how far does the highest of n equal variants lie above the truth?

Run: .venv/bin/python bench/choosing.py [--studies 400]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from engine.stats.compare import compare
from engine.stats.pairing import Pairing, Valued, Vector, index, pair
from engine.stats.routing import FOLDS, choose, cross_fit, folds
from engine.stats.verdicts import BETTER, verdict
from engine.stats.winners import optimism

FALLBACK = "v0"
SHARED = 0.5  # correlation of two variants on an example: they answer the same question
Study = dict[str, dict[str, float]]  # variant -> example -> score


@dataclass(frozen=True, slots=True)
class Told:
    """The share of studies in which val calls it better: on what it chose on, and cross-fitted."""

    in_sample: float
    crossed: float


def routing(*, studies: int, personas: int, variants: int, examples: int, seed: int = 0) -> Told:
    """Route each persona among equal variants, with no margin."""

    def one(study: Study, fold_of: dict[str, int]) -> tuple[Study, Study]:
        def rows(without: int | None = None) -> dict[str, list[Valued]]:
            return {
                name: [(at, _whose(at), value) for at, value in of.items() if fold_of[at] != without]
                for name, of in study.items()
            }

        routes = choose(rows(), fallback=FALLBACK).by_persona
        crossed = cross_fit(rows, fallback=FALLBACK)
        in_sample = {at: study[routes[_whose(at)]][at] for at in fold_of}
        fitted = {at: study[crossed[fold].get(_whose(at), FALLBACK)][at] for at, fold in fold_of.items()}
        return {"routed": in_sample}, {"routed": fitted}

    return _told(one, studies=studies, personas=personas, variants=variants, examples=examples, seed=seed)


def merging(*, studies: int, personas: int, variants: int, examples: int, seed: int = 0) -> Told:
    """Take, for each group of five personas, the one of the equal variants that is best on their val."""

    def best(study: Study, at: list[str]) -> str:
        return max(study, key=lambda name: float(np.mean([study[name][one] for one in at])) if at else 0.0)

    def one(study: Study, fold_of: dict[str, int]) -> tuple[Study, Study]:
        groups: dict[int, list[str]] = {}
        for at in fold_of:
            groups.setdefault(int(_whose(at)[1:]) // 5, []).append(at)
        in_sample, fitted = {}, {}
        for group in groups.values():
            chosen = best(study, group)
            in_sample |= {at: study[chosen][at] for at in group}
            for fold in range(FOLDS):
                chosen = best(study, [at for at in group if fold_of[at] != fold])
                fitted |= {at: study[chosen][at] for at in group if fold_of[at] == fold}
        return {"merged": in_sample}, {"merged": fitted}

    return _told(one, studies=studies, personas=personas, variants=variants, examples=examples, seed=seed)


def _told(
    one: Callable[[Study, dict[str, int]], tuple[Study, Study]],
    *,
    studies: int,
    personas: int,
    variants: int,
    examples: int,
    seed: int,
) -> Told:
    found = np.zeros(2)
    for number in range(studies):
        study = _draw(np.random.default_rng([seed, number]), personas, variants, examples)
        fold_of = folds((_whose(at), at) for at in study[FALLBACK])
        for place, made in enumerate(one(study, fold_of)):
            (scores,) = made.values()
            found[place] += _is_better(_pairing(scores, study[FALLBACK]))
    return Told(*(found / studies).tolist())


def _draw(generator: np.random.Generator, personas: int, variants: int, examples: int) -> Study:
    names = [f"p{person}/{place}" for person in range(personas) for place in range(examples)]
    shared = generator.normal(size=len(names)) * SHARED**0.5
    return {
        f"v{number}": dict(
            zip(
                names,
                (shared + generator.normal(size=len(names)) * (1 - SHARED) ** 0.5).tolist(),
                strict=True,
            )
        )
        for number in range(variants)
    }


def _whose(example: str) -> str:
    return example.partition("/")[0]


def _pairing(ours: dict[str, float], theirs: dict[str, float]) -> Pairing:
    tables = [index((at, _whose(at), value) for at, value in of.items()) for of in (ours, theirs)]
    return pair(*tables)


def _is_better(pairing: Pairing) -> bool:
    row = compare(pairing, resamples=999)
    return verdict({"ci_low": row.ci_low, "ci_high": row.ci_high, "p_holm": row.p}) == BETTER


def highest(*, studies: int, personas: int, variants: int, seed: int = 0) -> tuple[float, float, float]:
    """Return, for the highest of equal variants: its overshoot, that which `optimism` foretells from each
    study's own data (both in standard errors of one), and the share of 95 % t-intervals of it that hold the
    truth."""
    from scipy import special

    found, told, held = [], [], 0
    for number in range(studies):
        generator = np.random.default_rng([seed, number])
        gains = (
            generator.normal(size=(personas, variants)) * 0.5**0.5
            + generator.normal(size=(personas, 1)) * 0.5**0.5
        )
        means, errors = gains.mean(axis=0), gains.std(axis=0, ddof=1) / personas**0.5
        best = int(means.argmax())
        half = float(special.stdtrit(personas - 1, 0.975)) * errors[best]
        held += abs(means[best]) <= half
        found.append(float(means[best]) * personas**0.5)
        if number < 20:
            foretold = optimism({str(v): _by_person(gains[:, v]) for v in range(variants)})
            assert foretold is not None
            told.append(foretold.overshoot * personas**0.5)
    return float(np.mean(found)), float(np.mean(told)), held / studies


def _by_person(values: Vector) -> dict[str, float]:
    return {f"p{place}": float(value) for place, value in enumerate(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print("Nothing differs. How often is it called better on val, in percent?\n")
    print("| what | personas | among | chosen on the same | cross-fitted |\n|---|---|---|---|---|")
    for name, of in (("routing", routing), ("merge of five", merging)):
        for personas, variants in ((20, 2), (20, 5), (200, 2), (200, 5)):
            told = of(
                studies=asked.studies, personas=personas, variants=variants, examples=10, seed=asked.seed
            )
            shares = f"{100 * told.in_sample:.1f} | {100 * told.crossed:.1f}"
            print(f"| {name} | {personas} | {variants} | {shares} |", flush=True)
    print("\nThe highest of n equal variants (gains correlated 0.5, as over one reference):\n")
    print("| n | above the truth, in standard errors | foretold from the data | its 95 % interval holds |")
    print("|---|---|---|---|")
    for variants in (2, 5, 10, 25):
        found, told_, held = highest(
            studies=10 * asked.studies, personas=50, variants=variants, seed=asked.seed
        )
        print(f"| {variants} | {found:.2f} | {told_:.2f} | {100 * held:.1f} |", flush=True)


if __name__ == "__main__":
    main()
