"""Extraction against a table of replies, and what must hold for any reply."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domains.smart_home.actions import Actions, Setting, extract
from engine.domains.smart_home.replies.lexicon import DEVICES, OUTSIDE_DEVICES, PHRASES, WORDS
from tests.stats.cases import GROUPS

CASES = [
    pytest.param(text, done, id=f"{group}: {text[:60]}")
    for group, rows in GROUPS.items()
    for text, done in rows
]


def actions_of(notation: str) -> Actions:
    """Return the actions written as "ac.temperature=22 lights"."""
    devices, found = set(), set()
    for word in notation.split():
        name, _, value = word.partition("=")
        device, _, parameter = name.partition(".")
        device = device.replace("-", " ")
        devices.add(device)
        if parameter:
            found.add(Setting(device, parameter, value_of(value)))
    return Actions(frozenset(devices), frozenset(found))


def value_of(word: str) -> float | str | bool:
    if word in ("true", "false"):
        return word == "true"
    try:
        return float(word)
    except ValueError:
        return word.replace("-", " ")


VOCABULARY = sorted({*WORDS, *(" ".join(words) for options in PHRASES.values() for words, _ in options)})
PIECES = st.one_of(
    st.sampled_from([word for word in VOCABULARY if word.isascii()]),
    st.integers(0, 100).map(str),
    st.sampled_from([", ", ". ", " and ", "50%", "22 degrees", "7:30", "?", "Paul", "because", "to", "at"]),
)
RANDOM_REPLIES = st.lists(PIECES, max_size=25).map(" ".join)
REAL_REPLIES = [text for rows in GROUPS.values() for text, _ in rows]
REPLIES = st.one_of(st.sampled_from(REAL_REPLIES), RANDOM_REPLIES)


@pytest.mark.parametrize(("text", "done"), CASES)
def test_a_reply_does_what_it_says(text: str, done: str) -> None:
    assert extract(text) == actions_of(done)


def test_the_table_is_large_and_has_no_duplicates() -> None:
    assert len(REAL_REPLIES) >= 120
    assert len(set(REAL_REPLIES)) == len(REAL_REPLIES)


@settings(max_examples=150, deadline=None)
@given(REPLIES)
def test_case_does_not_matter(text: str) -> None:
    assert extract(text.upper()) == extract(text) == extract(text.lower())


@settings(max_examples=150, deadline=None)
@given(REPLIES, st.sampled_from(["!", ".", "...", "!!", " ", "\n", ". "]))
def test_punctuation_at_the_end_does_not_matter(text: str, mark: str) -> None:
    assert extract(text + mark) == extract(text)


@settings(max_examples=150, deadline=None)
@given(REPLIES)
def test_every_setting_is_on_a_named_device_with_a_finite_value(text: str) -> None:
    actions = extract(text)
    assert {setting.device for setting in actions.settings} <= actions.devices
    assert actions.devices <= {*DEVICES, *OUTSIDE_DEVICES}
    assert all(abs(float(setting.value)) < 1e9 for setting in actions.numbers)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(extract(text), Actions)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(REAL_REPLIES), st.sampled_from(["Sure.", "Of course!", "Good morning, Nora."]))
def test_an_opening_changes_nothing(text: str, opening: str) -> None:
    assert extract(f"{opening} {text}") == extract(text)


def test_no_device_is_both_inside_and_outside() -> None:
    assert OUTSIDE_DEVICES.isdisjoint(DEVICES)


def test_a_number_glued_to_letters_is_no_number() -> None:
    assert extract("Lights to 4k.") == actions_of("lights")


def test_five_thousand_replies_take_less_than_a_second_of_one_core() -> None:
    chooser = random.Random(0)
    replies = [f"{chooser.choice(REAL_REPLIES)} {chooser.choice(REAL_REPLIES)}" for _ in range(1_000)]
    spent = []
    for _ in range(5):
        start = time.process_time()
        for reply in replies:
            extract.__wrapped__(reply)
        spent.append(time.process_time() - start)
    assert len(replies) / min(spent) > 5_000


def test_a_reply_of_ten_thousand_words_is_read_in_linear_time() -> None:
    start = time.process_time()
    extract("lights to 50% and the TV volume, not " * 2_000)
    assert time.process_time() - start < 2
