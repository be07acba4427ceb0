"""Routing by hand-made scores: who goes where, what it is worth, and that test has no say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import choosing
from engine.core.errors import EngineError
from engine.stats.pairing import Valued
from engine.stats.routing import FOLDS, best_but, choose, cross_fit, folds, hindsight

PEOPLE = ("ada", "ben", "cleo")


def rows(*means: float | None, examples: int = 2) -> list[Valued]:
    """Two examples a persona around each mean."""
    return [
        (f"{name}/{number}", name, None if mean is None else mean + (0.01 if number else -0.01))
        for name, mean in zip(PEOPLE, means, strict=True)
        for number in range(examples)
    ]


VAL = {
    "unified": rows(0.80, 0.80, 0.80),
    "hybrid": rows(0.90, 0.81, 0.70),
    "per-persona": rows(0.85, 0.83, 0.60),
}


def test_each_persona_goes_where_she_won_on_val() -> None:
    routes = choose(VAL, fallback="unified")
    assert routes.by_persona == {"ada": "hybrid", "ben": "per-persona", "cleo": "unified"}
    assert [round(route.gain, 6) for route in routes.routes] == [0.1, 0.03, 0.0]
    assert routes.shares == pytest.approx({"hybrid": 1 / 3, "per-persona": 1 / 3, "unified": 1 / 3})
    assert routes.gain == pytest.approx(0.13 / 3)


def test_below_the_margin_the_fallback_stays() -> None:
    assert choose(VAL, fallback="unified", margin=0.05).by_persona["ben"] == "unified"
    assert choose(VAL, fallback="unified", margin=0.03).by_persona["ben"] == "unified"  # not more than it
    assert choose(VAL, fallback="unified", margin=0.029).by_persona["ben"] == "per-persona"


def test_a_lower_error_is_better_where_the_metric_says_so() -> None:
    routes = choose(VAL, fallback="unified", higher_is_better=False)
    assert routes.by_persona == {"ada": "unified", "ben": "unified", "cleo": "per-persona"}


def test_only_examples_that_both_have_decide() -> None:
    val = {"unified": rows(0.5, 0.5, 0.5), "other": rows(0.9, None, 0.9, examples=1)}
    routes = choose(val, fallback="unified")
    assert routes.by_persona == {"ada": "other", "ben": "unified", "cleo": "other"}
    assert routes.routes[0].gain == pytest.approx(0.4)  # both at their first example: 0.89 - 0.49


def test_personas_that_a_variant_does_not_cover_can_still_be_routed_elsewhere() -> None:
    val = {"unified": rows(0.5, 0.5, 0.5), "own": rows(0.9, 0.9, 0.9)[:2]}
    assert choose(val, fallback="unified").by_persona == {"ada": "own", "ben": "unified", "cleo": "unified"}


def test_persona_means_from_elsewhere_are_routed_as_one_row_a_persona() -> None:
    means = {"unified": {"ada": 0.82, "ben": 0.82}, "hybrid": {"ada": 0.88, "ben": 0.74}}
    tables = {name: [(p, p, value) for p, value in of.items()] for name, of in means.items()}
    assert choose(tables, fallback="unified").by_persona == {"ada": "hybrid", "ben": "unified"}


def test_ties_stay_and_otherwise_go_to_the_first() -> None:
    same = {"unified": rows(0.5, 0.5, 0.5), "b": rows(0.6, 0.5, 0.5), "a": rows(0.6, 0.5, 0.5)}
    routes = choose(same, fallback="unified")
    assert routes.by_persona == {"ada": "b", "ben": "unified", "cleo": "unified"}


def test_a_fallback_that_is_not_there_is_refused() -> None:
    with pytest.raises(EngineError) as caught:
        choose(VAL, fallback="unifed")
    assert caught.value.hint == "Did you mean 'unified'?"
    with pytest.raises(EngineError, match="no validation scores"):
        choose({"unified": [], "hybrid": VAL["hybrid"]}, fallback="unified")


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=4),
    margin=st.floats(0, 0.3),
)
def test_on_what_chose_it_a_route_never_loses(scores: list[list[float]], margin: float) -> None:
    names = [f"v{i}" for i in range(len(scores))]
    routes = choose(
        {name: rows(*means) for name, means in zip(names, scores, strict=True)}, fallback="v0", margin=margin
    )
    assert routes.gain >= -1e-12
    assert math.isclose(sum(routes.shares.values()), 1.0)
    assert all(route.gain > margin or route.variant == "v0" for route in routes.routes)


def test_each_fold_is_chosen_for_by_the_others() -> None:
    dialogues = {"a1": 0, "a2": 1, "b1": 2}
    scores = {"unified": {"a1": 0.5, "a2": 0.5, "b1": 0.5}, "hybrid": {"a1": 0.9, "a2": 0.3, "b1": 0.9}}

    def without(fold: int) -> dict[str, list[Valued]]:
        return {
            name: [(one, one[0], value) for one, value in of.items() if dialogues[one] != fold]
            for name, of in scores.items()
        }

    chosen = cross_fit(without, fallback="unified")
    assert chosen[0] == {"a": "unified", "b": "hybrid"}  # by a2, where hybrid loses
    assert chosen[1] == {"a": "hybrid", "b": "hybrid"}  # by a1, where it wins
    assert chosen[2] == {"a": "hybrid"}  # nothing else is known of b


def test_folds_deal_out_each_personas_dialogues() -> None:
    found = folds([("a", f"a{place}") for place in range(7)] + [("b", "b0"), ("b", "b0")])
    assert {found[f"a{place}"] for place in range(5)} == set(range(FOLDS))
    assert found["b0"] == 7 % FOLDS


def test_where_nothing_differs_choosing_on_val_finds_no_gain_on_it() -> None:
    told = choosing.routing(studies=40, personas=40, variants=3, examples=10, seed=1)
    assert told.in_sample > 0.8
    assert told.crossed <= 0.15


def test_hindsight_takes_the_best_for_each_and_never_loses() -> None:
    gains = {"a": {"p": 0.2, "q": -0.1}, "b": {"p": 0.1, "q": -0.3, "r": 0.05}}
    found = hindsight(gains, fallback="unified", personas=["p", "q", "r", "s"], folds=2)
    assert dict(found.best) == {
        "p": ("a", 0.2),
        "q": ("unified", 0.0),
        "r": ("b", 0.05),
        "s": ("unified", 0.0),
    }
    assert found.bound == pytest.approx(0.0625)
    assert found.share_moved == 0.5
    assert found.shares == {"unified": 0.5, "a": 0.25, "b": 0.25}
    assert hindsight(gains, fallback="u", personas=["p", "r"], margin=0.1).best["r"] == ("u", 0.0)


def test_in_noise_alone_hindsight_gains_and_the_cross_fitted_choice_does_not() -> None:
    draw = np.random.default_rng(5)
    people = [f"p{number}" for number in range(300)]
    gains = {name: dict(zip(people, draw.normal(0, 0.05, 300), strict=True)) for name in "abcdef"}
    found = hindsight(gains, fallback="unified", personas=people)
    crossed = [gain for _, gain in found.crossed.values()]
    assert found.bound > 0.04
    assert abs(float(np.mean(crossed))) < 0.01


def test_a_variant_that_is_better_for_all_is_found_on_other_personas() -> None:
    people = [f"p{number}" for number in range(30)]
    gains = {"a": dict.fromkeys(people, 0.03), "b": dict.fromkeys(people, 0.01)}
    found = hindsight(gains, fallback="unified", personas=people)
    assert {name for name, _ in found.crossed.values()} == {"a"}


def test_the_best_of_equals_looks_better_where_it_was_chosen_and_not_by_the_other_folds() -> None:
    """Five candidates that differ by luck alone, in 300 studies of 20 personas with five val dialogues."""
    random = np.random.default_rng(5)
    gains: dict[str, list[tuple[float, float]]] = {"in sample": [], "crossed": []}
    people = [(f"p{one}", f"p{one}/{number}") for one in range(20) for number in range(5)]
    fold_of, names = folds(people), [f"x{number}" for number in range(5)]
    for _ in range(300):
        scores = {name: random.normal(0.8, 0.1, len(people)) for name in names}
        tables = {
            name: [(*who, float(score)) for who, score in zip(people, of_it, strict=True)]
            for name, of_it in scores.items()
        }
        best = best_but(tables, fold_of)
        by_fold = [best_but(tables, fold_of, without=fold) for fold in range(FOLDS)]
        judged = [scores[by_fold[fold_of[dialogue]]][place] for place, (_, dialogue) in enumerate(people)]
        for kind, found in (("in sample", scores[best]), ("crossed", np.array(judged))):
            each = (found - scores["x0"]).reshape(20, 5).mean(axis=1)
            gains[kind].append((each.mean(), each.mean() / (each.std(ddof=1) / 20**0.5 or 1.0)))
    mean = {kind: np.mean([gain for gain, _ in found]) for kind, found in gains.items()}
    better = {kind: np.mean([t > 2.093 for _, t in found]) for kind, found in gains.items()}  # one in forty
    assert mean["in sample"] > 0.01
    assert better["in sample"] > 0.05
    assert abs(mean["crossed"]) < 0.002
    assert better["crossed"] < 0.05


def test_a_candidate_that_is_better_is_chosen_without_a_fold_too_and_lower_may_be_better() -> None:
    people = [(f"p{one}", f"p{one}/{number}") for one in range(3) for number in range(5)]
    fold_of = folds(people)
    tables = {name: [(*who, value) for who in people] for name, value in (("low", 0.1), ("high", 0.9))}
    for fold in (None, *range(FOLDS)):
        assert best_but(tables, fold_of, without=fold) == "high"
        assert best_but(tables, fold_of, without=fold, higher_is_better=False) == "low"
    # It is the mean over personas, not over examples: one with many dialogues counts once.
    many = [("p0", dialogue, 1.0) for _, dialogue in people[:5]] + [("p1", "p1/0", 0.0), ("p2", "p2/0", 0.0)]
    assert best_but({"even": [(*who, 0.4) for who in people], "many": many}, fold_of) == "even"
