"""Numbers as people write them, by themselves and in what a reply does."""

from __future__ import annotations

import re

import pytest

from engine.domains.numbers import NUMBER, value_of, whole_number
from engine.domains.smart_home.actions import extract


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("21,5", [21.5]),
        ("21.5", [21.5]),
        ("-5", [-5]),
        ("\u22125", [-5]),
        ("minus 5", [-5]),
        ("it is (-5)", [-5]),
        ("1,000", [1000]),
        ("1,000.5", [1000.5]),
        ("12,345,678", [12345678]),
        ("1.000,5", [1000.5]),
        ("1.000.000", [1000000]),
        ("1\u202f000", [1000]),
        ("1.234", [1.234]),
        ("0,500", [0.5]),
        ("20-30", [20, 30]),
        ("hdmi-1", [1]),
        ("20, 30", [20, 30]),
        ("20,30,40", [20, 30, 40]),
        ("5.", [5]),
        ("1,0000", [1.0]),
    ],
)
def test_a_number_is_read_as_it_is_written(text: str, values: list[float]) -> None:
    assert [value_of(found.group()) for found in re.finditer(NUMBER, text)] == values


@pytest.mark.parametrize(
    ("text", "value"),
    [(" 4 ", 4.0), ("4.", 4.0), ("4,5", 4.5), ("-1", -1.0), ("4 stars", None), ("", None), ("nan", None)],
)
def test_a_text_is_a_number_or_none(text: str, value: float | None) -> None:
    assert whole_number(text) == value


def settings(text: str) -> set[tuple[str, str, object]]:
    return {(one.device, one.parameter, one.value) for one in extract(text).settings}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I set the AC to 21,5 degrees.", "I set the AC to 21.5 degrees."),
        ("Speaker volume set to 1,000.", "Speaker volume set to 1000."),
        ("The AC is at minus 5 degrees.", "The AC is at -5 degrees."),
        ("The AC is at \u22125 degrees.", "The AC is at -5 degrees."),
    ],
)
def test_two_ways_of_writing_do_the_same(one: str, other: str) -> None:
    assert settings(one) == settings(other) != set()


def test_below_zero_is_another_number() -> None:
    assert settings("I set the AC to -5 degrees.") == {("ac", "temperature", -5.0)}
    assert settings("I set the AC to 5 degrees.") == {("ac", "temperature", 5.0)}


def test_what_is_no_minus_stays_none() -> None:
    assert settings("The TV is on HDMI-1 with volume 20.") == settings("The TV is on HDMI1 with volume 20.")
    assert settings("Lights: brightness - 40%.") == settings("Lights: brightness 40%.")
