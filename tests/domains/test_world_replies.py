"""Every phrase of every world, in each combination that it stands in: the grammar reads its truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from random import Random
from typing import Any

import pytest

from engine.data.worlds import WORLDS
from engine.data.worlds.households import EQUALIZERS, INPUT_SOURCES, draw_household, draw_settings
from engine.data.worlds.replies import Intent, phrase
from engine.data.worlds.words import (
    DEVICE_NAMES,
    HOBBIES,
    OTHER_REQUESTS,
    PARAMETER_NAMES,
    REPLY_SLOTS,
    ROOMS,
    TELL_STATE,
)
from engine.domains.smart_home.actions import Actions, Setting, extract
from tests.domains.test_actions import actions_of

ANYONE = draw_household(WORLDS["default"], seed=0, index=0)
PLAIN = {
    slot: next((way.text for way in ways if not way.text), ways[0].text) for slot, ways in REPLY_SLOTS.items()
}
NEEDS = draw_settings(Random(1))
HELD = {
    "The curtains are closed now.": "curtains",
    "The coffee maker is starting now.": "coffee-maker",
    "The porch light is now on.": "lights.power=on",
    "The vacuum is starting in the hallway.": "vacuum",
    "The humidity is within the usual range.": "",
    "The porch light has been dimmed as requested.": "lights",
    "The projector has been turned off.": "projector.power=off",
    "The indoor plants are being watered now.": "",
    "Changing the playlist now.": "speaker",
    "The garage temperature has been adjusted.": "ac",
    "Playing classical music now.": "speaker",
    "The garden fountain is now on.": "",
    "The blinds are lowered.": "blinds",
}
"""What the answers to requests that set nothing of the five do, by hand."""


def said(plan: Intent, **ways: str) -> str:
    """Return the plan in words, every slot that is not named as plain as it can be."""
    return phrase(plan, lambda slot: ways.get(slot, PLAIN[slot]), ANYONE)


def truth(device: str, values: Mapping[str, Any]) -> Actions:
    """Return what a plan that gives a device these values does, in the grammar's own words."""
    return Actions(
        frozenset({device}), frozenset(Setting(device, key, spelled(value)) for key, value in values.items())
    )


def spelled(value: Any) -> Any:
    if type(value) is int:
        return float(value)
    return value.lower().replace("hdmi", "hdmi ") if isinstance(value, str) else value


def texts(slot: str) -> list[str]:
    return [way.text for way in REPLY_SLOTS[slot]]


def changes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every device with every choice of its parameters, and each word that a value can be."""
    for need, values in NEEDS.items():
        device = need.partition("/")[0]
        keys = [key for key in values if key != "armed"]
        for count in range(1, len(keys) + 1):
            for chosen in combinations(keys, count):
                yield device, {key: value for key, value in values.items() if key in (*chosen, "armed")}
    yield from (("tv", {"input_source": source, "volume": 30}) for source in INPUT_SOURCES)
    yield from (("speaker", {"volume": 30, "equalizer": one}) for one in EQUALIZERS)
    for color in ("warm", "cool", "neutral"):
        for mode in ("static", "dynamic"):
            yield "lights", {"brightness": 40, "color": color, "mode": mode}


CHANGES = list(changes())
OFF = ("tv", "speaker", "ac")


@pytest.mark.parametrize("join", texts("join"))
@pytest.mark.parametrize("verb", texts("verb"))
def test_a_change_sets_just_what_it_says(verb: str, join: str) -> None:
    for device, values in CHANGES:
        for room in ("", *ROOMS) if device == "lights" else ("",):
            reply = said(Intent("set", ((device, values),), room=room), verb=verb, join=join)
            assert extract(reply) == truth(device, values), reply


@pytest.mark.parametrize("verb", texts("verb"))
def test_an_offer_after_a_change_names_the_device_and_sets_nothing(verb: str) -> None:
    for device, values in CHANGES:
        for left in [key for key in values if key != "armed"][1:]:
            part = {key: value for key, value in values.items() if key != left}
            reply = said(Intent("set", ((device, part),), offer=(device, left)), verb=verb, join="comma")
            assert extract(reply) == truth(device, part), reply


@pytest.mark.parametrize("off", texts("off"))
def test_off_is_off_in_every_phrase(off: str) -> None:
    for device in OFF:
        reply = said(Intent("off", ((device, {}),)), off=off)
        assert extract(reply) == truth(device, {"power": "off"}), reply


@pytest.mark.parametrize("ask", texts("ask"))
def test_a_question_back_names_its_device_and_sets_nothing(ask: str) -> None:
    for device, values in CHANGES:
        for opener in texts("opener_ask"):
            reply = said(Intent("ask", ((device, values),)), ask=ask, opener_ask=opener, name="name")
            assert extract(reply) == truth(device, {}), reply


@pytest.mark.parametrize("opener", texts("opener_set"))
def test_what_opens_a_reply_changes_nothing(opener: str) -> None:
    for name in ("", "name"):
        for device, values in CHANGES:
            for verb in texts("verb"):
                reply = said(Intent("set", ((device, values),)), opener_set=opener, name=name, verb=verb)
                assert extract(reply) == truth(device, values), reply
        for device in OFF:
            for off in texts("off"):
                reply = said(Intent("off", ((device, {}),)), opener_set=opener, name=name, off=off)
                assert extract(reply) == truth(device, {"power": "off"}), reply


@pytest.mark.parametrize("follow_up", texts("follow_up"))
@pytest.mark.parametrize("flourish", texts("flourish"))
def test_what_ends_a_reply_changes_nothing(flourish: str, follow_up: str) -> None:
    own = {"flourish": flourish, "follow_up": follow_up}
    for hobby in HOBBIES:
        for need, values in NEEDS.items():
            device = need.partition("/")[0]
            one = Intent("set", ((device, values),), time="night")
            reply = phrase(one, lambda slot: own.get(slot, PLAIN[slot]), household(hobby))
            assert extract(reply) == truth(device, values), reply
        for device in OFF:
            reply = phrase(
                Intent("off", ((device, {}),)), lambda slot: own.get(slot, PLAIN[slot]), household(hobby)
            )
            assert extract(reply) == truth(device, {"power": "off"}), reply


@pytest.mark.parametrize("closing", texts("closing"))
def test_a_goodbye_does_nothing(closing: str) -> None:
    for hobby in HOBBIES:
        reply = phrase(Intent("close"), lambda slot: closing, household(hobby))
        assert extract(reply) == actions_of(""), reply


@pytest.mark.parametrize("follow_up", texts("follow_up"))
def test_a_state_that_is_told_counts(follow_up: str) -> None:
    for device, values in CHANGES:
        for key in [key for key in values if key != "armed"]:
            named = {"device": DEVICE_NAMES[device], "parameter": PARAMETER_NAMES[key]}
            told = TELL_STATE.format(value=values[key], **named)
            reply = said(Intent("say", text=told), follow_up=follow_up)
            assert extract(reply) == truth(device, {key: values[key]}), reply


def test_every_other_answer_is_read_as_by_hand() -> None:
    assert {answer for _, answer in OTHER_REQUESTS} == set(HELD)
    for answer, done in HELD.items():
        for follow_up in texts("follow_up"):
            assert extract(said(Intent("say", text=answer), follow_up=follow_up)) == actions_of(done), answer


def household(hobby: tuple[str, str, str]) -> Any:
    return replace(ANYONE, hobby=hobby)
