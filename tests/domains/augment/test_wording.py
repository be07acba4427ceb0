"""Paraphrase, synonyms and noise: other words for the same, on hand-written and on synthetic requests."""

from __future__ import annotations

from random import Random

import pytest

from engine.data.augment.growing import numbers
from engine.data.worlds import draw_world
from engine.domains.smart_home.actions import extract
from engine.domains.smart_home.augment.grammar import (
    as_order,
    paraphrase,
    read_given,
    read_request,
    spoken_noise,
    synonyms,
)
from engine.domains.smart_home.augment.lexicon import PHRASES, SENTENCES


@pytest.mark.parametrize(
    ("said", "order"),
    [
        ("Could you please dim the lights?", "Dim the lights."),
        ("Also, I need you to set the TV to volume 55.", "Set the TV to volume 55."),
        ("I'd like temperature at 22, please.", "Set it to temperature at 22."),
        ("Volume 15, please!", "Set it to volume 15."),
        ("How about Netflix with volume 30?", "Set it to Netflix with volume 30."),
        ("Turn on the TV.", "Turn on the TV."),
        ("I'm cold. Can you warm up the room?", "I'm cold. Warm up the room."),
        ("I'd like you to set the TV to volume 5.", "Set the TV to volume 5."),
        ("Just the usual.", "Just the usual."),
    ],
)
def test_a_request_is_read_as_an_order(said: str, order: str) -> None:
    assert as_order(said) == order


def test_what_gives_no_value_is_not_taken_for_one() -> None:
    assert read_given("Make it cozy.") is None
    assert read_given("With alarm volume 85.") is None
    assert read_given("What is 22 degrees?") is None
    assert read_request("Just the usual.") is None
    assert read_request("turning it on") is None


def test_a_paraphrase_opens_otherwise_and_keeps_the_demand() -> None:
    text = "Can you set the lights to 40% brightness? The tea is already brewing."
    made = {paraphrase(text, Random(seed)) for seed in range(60)}
    assert len(made) > 8
    assert any(one.startswith("The tea is already brewing.") for one in made)
    assert {as_order(one).replace("The tea is already brewing.", "").strip() for one in made} == {
        "Set the lights to 40% brightness."
    }


def test_a_reason_that_leans_on_the_request_stays_behind_it() -> None:
    text = "Can you dim the lights? I like it that way."
    assert all(paraphrase(text, Random(seed)).endswith("I like it that way.") for seed in range(40))


def test_synonyms_come_from_the_lexicon_and_keep_capitals() -> None:
    made = {synonyms("Turn on the TV. I'm cold.", Random(seed)) for seed in range(60)}
    assert "Switch on the television. I feel cold." in made
    assert all(one[0].isupper() for one in made)
    assert "Turn on the TV. I'm cold." in made


def test_noise_never_touches_values_devices_or_numbers() -> None:
    text = "Please set the speaker to volume 35 and balanced equalizer, my yoga session begins shortly."
    made = {spoken_noise(text, Random(seed)) for seed in range(200)}
    assert len(made) > 10
    assert {extract(as_order(one)) for one in made} == {extract(as_order(text))}
    assert {tuple(numbers(one)) for one in made} == {("35",)}


def test_a_set_of_the_lexicon_names_one_device_and_no_number() -> None:
    for phrases in (*PHRASES, *SENTENCES):
        assert len(phrases) > 1
        assert len(set(phrases)) == len(phrases)
        assert len(frozenset().union(*(extract(phrase).devices for phrase in phrases))) <= 1, phrases
        assert not any(numbers(phrase) for phrase in phrases)


def test_most_synthetic_requests_keep_what_they_ask_for() -> None:
    """The rules rarely run into the guards: nine in ten rewordings of a world's requests pass."""
    texts = [
        turn.user
        for _, sessions in draw_world("default", personas=6, dialogues=8, seed=3)
        for session in sessions
        for turn in session.turns
    ]
    for change in (paraphrase, synonyms, spoken_noise):
        made = [(text, change(text, Random(place))) for place, text in enumerate(texts)]
        changed = [(text, other) for text, other in made if text != other]
        kept = [pair for pair in changed if extract(as_order(pair[0])) == extract(as_order(pair[1]))]
        assert len(changed) > len(texts) / 3
        assert len(kept) >= 0.9 * len(changed), [pair for pair in changed if pair not in kept][:5]
        assert all(numbers(text) == numbers(other) for text, other in changed)
