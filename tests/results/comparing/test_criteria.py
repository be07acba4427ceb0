"""The success criteria: each condition at its edge, what is missing in words, and where they are shown."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.results.comparing.comparison import _standing
from engine.results.comparing.criteria import BANDS, Standing, judge
from engine.stats.compare import compare
from engine.stats.paired_tests import holm, paired_t
from tests.stats.test_heterogeneity import study

GOOD = Standing(
    variant="x",
    mean=0.885,
    gain=0.06,
    share_improved=0.85,
    p=0.001,
    lost=3,
    n_personas=200,
    per_persona_lost=0.1,
    gains={"param_f1": 0.02, "numerical_precision": 0.01},
    p_of_gains={"param_f1": 0.01, "numerical_precision": 0.02},
)


def met(standing: Standing) -> dict[str, bool | None]:
    return {judged.band: judged.met for judged in judge(standing)}


def test_the_gains_are_the_studys_distances() -> None:
    gains = {band.name: band.gain for band in BANDS}
    expected = {"above-unified": 0, "good": 0.0186, "minimum": 0.0286, "excellent": 0.0486, "stretch": 0.0586}
    assert gains == pytest.approx(expected)


def test_a_good_one_reaches_everything_and_lacks_nothing() -> None:
    judged = judge(GOOD)
    assert all(one.met and one.met_absolute and not one.missing for one in judged)
    assert judged[-1].band == "stretch"


@pytest.mark.parametrize(
    ("change", "fails", "words"),
    [
        ({"gain": 0.05}, {"stretch"}, "+5.0 points over unified, +5.9 wanted"),
        ({"gain": 0.02}, {"minimum", "excellent", "stretch"}, "+2.0 points over unified, +2.9 wanted"),
        ({"gain": 0.0}, {band.name for band in BANDS}, "0.0 points over unified, above 0"),
        ({"share_improved": 0.7}, {"stretch"}, "70 % of personas improve, 80 % wanted"),
        ({"share_improved": 0.796}, {"stretch"}, "79.6 % of personas improve, 80 % wanted"),
        ({"p": 0.05}, {band.name for band in BANDS}, "p 0.05, below 0.05 wanted"),
        ({"lost": 20}, {"minimum", "stretch"}, "20 personas of 200 lost more than 10 points"),
        ({"gains": {"param_f1": 0.0, "numerical_precision": 0.1}}, {"stretch"}, "Parameter F1 0.0 points"),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:30],
)
def test_each_condition_decides_alone(change: dict[str, object], fails: set[str], words: str) -> None:
    judged = judge(replace(GOOD, **change))  # type: ignore[arg-type]
    assert {one.band for one in judged if one.met is False} == fails
    assert any(words in line for one in judged for line in one.missing)


def test_a_further_metric_that_rises_by_chance_is_no_rise() -> None:
    lucky = replace(GOOD, p_of_gains={"param_f1": 0.4, "numerical_precision": 0.02})
    assert met(lucky) == {**met(GOOD), "stretch": False}
    (stretch,) = [one for one in judge(lucky) if one.band == "stretch"]
    assert stretch.missing == ("Parameter F1 +2.0 points with p 0.40, up with p below 0.05 wanted",)


def test_the_share_is_the_models_with_the_count_beside_it() -> None:
    told = judge(replace(GOOD, share_improved=0.58, counted_share=0.72))
    assert any("58 % of personas improve (72 % by count), 60 % wanted" in one.missing for one in told)


def test_where_nothing_differs_no_level_is_reached_more_often_than_alpha() -> None:
    """Families of nine equal variants of 40 personas: by their means alone one is "above" in nearly all."""
    draw, by_mean, reached = np.random.default_rng(3), 0, 0
    for _ in range(200):
        differences = draw.normal(0, 0.1, (40, 9)) + draw.normal(0, 0.1, (40, 1))
        p = holm([paired_t(differences[:, one]) for one in range(9)])
        gains = differences.mean(axis=0)
        by_mean += bool((gains > 0).any())
        judged = [
            judge(replace(GOOD, mean=0.83, gain=float(gain), p=one))
            for gain, one in zip(gains, p, strict=True)
        ]
        reached += any(band.met for bands in judged for band in bands)
    assert by_mean > 130
    assert reached <= 15  # 5 % of 200, and three standard errors


def test_a_significant_loss_is_no_success() -> None:
    found = met(replace(GOOD, gain=-0.05, share_improved=0.9))
    assert set(found.values()) == {False}


def test_what_cannot_be_said_is_open_unless_something_fails() -> None:
    unknown = replace(GOOD, per_persona_lost=None)
    assert met(unknown) == {**met(GOOD), "minimum": None, "stretch": None}
    assert met(replace(unknown, gain=0.0))["minimum"] is False
    assert met(replace(unknown, lost=0))["minimum"] is True
    assert met(replace(GOOD, gains={"param_f1": None}))["stretch"] is None


def test_no_level_is_reached_by_what_is_worse_in_the_second_metric() -> None:
    told = {"metric": "exact_action_match", "label": "Exact action match", "delta": -0.1, "margin": 0.05}
    beside = {name: {**told, "ci_low": low, "ci_high": high} for name, low, high in STANDS}
    assert met(replace(GOOD, beside=beside["down"])) == dict.fromkeys(met(GOOD), False)
    assert met(replace(GOOD, beside=beside["not shown"])) == dict.fromkeys(met(GOOD), None)
    assert met(replace(GOOD, beside=beside["held"])) == met(GOOD)
    (line,) = judge(replace(GOOD, beside=beside["down"]))[0].missing
    assert line == "Exact action match −10.0 (−20.0 to −3.0): down"


STANDS = (("down", -0.2, -0.03), ("not shown", -0.2, 0.1), ("held", -0.04, 0.1))


def test_the_studys_own_value_is_judged_apart() -> None:
    lower = {one.band: one for one in judge(replace(GOOD, mean=0.86))}
    assert lower["stretch"].met is True
    assert lower["stretch"].met_absolute is False
    assert lower["minimum"].met_absolute is True
    assert lower["stretch"].absolute_mean.missing == pytest.approx(0.02)


def test_nothing_to_compare_is_open_and_json_is_plain() -> None:
    nothing = Standing("x", None, None, None, None, None, 0, None, {})
    assert set(met(nothing).values()) == {None}
    json.dumps([one.as_json() for one in judge(nothing)], allow_nan=False)


def test_levels_ask_for_the_share_that_truly_gains_with_the_count_beside_it() -> None:
    row = compare(study(np.full(20, 0.03), seed=1))
    told = _standing(row, {}, None, ())
    assert row.true_share != row.share_improved
    assert (told.share_improved, told.counted_share) == (row.true_share, row.share_improved)
