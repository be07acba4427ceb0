"""The wording of numbers on screens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.core import wording


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0231, "+2.3"),
        (-0.0231, "\N{MINUS SIGN}2.3"),
        (0.0, "0.0"),
        (-0.0004, "0.0"),
        (None, "\N{EN DASH}"),
        (float("nan"), "\N{EN DASH}"),
    ],
)
def test_a_difference_is_signed_points_with_one_decimal(value: float | None, words: str) -> None:
    assert wording.signed_points(value) == words


def test_a_half_is_rounded_as_a_browser_does_wherever_a_number_stands() -> None:
    """Tables round in the browser, figures and sentences here: `toFixed` takes a half away from zero."""
    assert [wording.percent(share) for share in (0.125, 0.375, 0.005, 0.124)] == [
        "13 %",
        "38 %",
        "1 %",
        "12 %",
    ]
    assert wording.points(0.4225) == "42.3"  # 42.25 is a half in binary, too
    assert [wording.signed_points(one) for one in (0.0225, -0.0225)] == ["+2.3", "\N{MINUS SIGN}2.3"]
    assert wording.rounded(-0.4) == "0"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "< 0.001"), (0.00099, "< 0.001"), (0.0042, "0.004"), (0.0321, "0.03"), (0.62, "0.62"), (1.0, "1")],
)
def test_a_p_value_is_never_a_false_zero(value: float, words: str) -> None:
    assert wording.p_value(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "under 1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (80, "1 min 20 s"),
        (7260, "2 h 1 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


def test_how_long_ago_is_told_from_the_given_moment() -> None:
    moment = datetime(2024, 5, 2, 12, 0, tzinfo=UTC)
    told = [
        wording.ago((moment - timedelta(seconds=back)).isoformat(), now=moment)
        for back in (5, 300, 7300, 90_000)
    ]
    assert told == ["just now", "5 min ago", "2 h ago", "01 May 2024"]


def test_values_are_spelled_for_people() -> None:
    assert [wording.spelled(value) for value in (["q", "v"], None, True, 5e-4, {"a": 1, "b": None})] == [
        "q, v",
        "none",
        "yes",
        "0.0005",
        "a 1, b none",
    ]


def test_counts_agree_with_their_noun() -> None:
    assert wording.count(1, "persona") == "1 persona"
    assert wording.count(12_000, "reply", "replies") == "12,000 replies"


def test_an_interval_without_numbers_is_a_dash() -> None:
    assert wording.interval(0.01, 0.034) == "+1.0 to +3.4"
    assert wording.interval(-0.03, -0.0002) == "−3.0 to −0.02"  # its end is no 0, whatever is rounded
    assert wording.interval(-0.03, 0.0) == "−3.0 to 0.0"
    assert wording.interval(-1e-9, 0.03) == "0.0 to +3.0"
    assert wording.interval(None, 0.034) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("val_loss_nats", 0.34695, ("Validation loss, nats", "0.347")),
        ("train_seconds", 115.2, ("Training time", "1 min 55 s")),
        ("train_dialogues", 6000, ("Training dialogues", "6,000")),
        ("best_epoch", 3, ("Best epoch", "3")),
        ("best_epoch_last", 12, ("Best at last epoch", "12")),
        ("regret_test", -0.0123, ("Regret test, points", "\N{MINUS SIGN}1.2")),
        ("silhouette", -0.022, ("Silhouette", "\N{MINUS SIGN}0.02")),
        ("seconds", 3, ("Seconds", "3")),
        ("nothing", None, None),
        ("undefined", float("nan"), None),
        ("shares", {"base": 0.5}, None),
        ("warned", True, None),
    ],
)
def test_the_numbers_of_a_summary_are_worded_by_their_names(
    name: str, value: object, told: tuple[str, str] | None
) -> None:
    assert wording.fact(name, value) == told
