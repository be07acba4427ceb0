"""Other circumstances: what the words or a routine hold fast stays, and times go with their words."""

from __future__ import annotations

from random import Random
from typing import Any

from engine.core.types import Dialogue
from engine.domains.smart_home.augment.context import lose_facts, pinned, seen_contexts, vary_context
from tests.domains.augment.cases import META, SET, dialogue

NOON = {
    **META,
    "time_of_day": "afternoon",
    "sun_phase": "daylight",
    "weather": "sunny",
    "outdoor_temp": "hot",
}
SNOW = {**META, "weather": "snowy", "outdoor_temp": "cold", "day_of_week": "weekend"}
SEEN = seen_contexts([SET, dialogue("Hi.", meta=NOON), dialogue("Hi.", meta=SNOW)])


def varied(source: Dialogue, routines: tuple[dict[str, Any], ...] = ()) -> list[Dialogue]:
    made = (vary_context(source, Random(seed), routines=routines, seen=SEEN) for seed in range(60))
    return [one for one in made if one is not None]


def test_facts_are_combined_as_some_train_dialogue_combines_them() -> None:
    made = varied(SET)
    assert {(one.meta["weather"], one.meta["outdoor_temp"]) for one in made} == {
        ("rainy", "mild"),
        ("sunny", "hot"),
        ("snowy", "cold"),
    }
    assert {(one.meta["time_of_day"], one.meta["sun_phase"]) for one in made} == {
        ("evening", "after_sunset"),
        ("afternoon", "daylight"),
    }
    assert all(one.messages == SET.messages for one in made)
    assert all(one.meta != SET.meta for one in made)


def test_what_the_dialogue_speaks_of_stays() -> None:
    rain = dialogue("The rain is coming down. Can you turn on the TV?", "The TV is on.")
    assert {"weather"} <= pinned(rain, ())
    assert {one.meta["weather"] for one in varied(rain)} == {"rainy"}
    cold = dialogue("I'm cold. Can you turn on the AC?", "The AC is on.")
    assert {one.meta["outdoor_temp"] for one in varied(cold)} == {"mild"}
    bed = dialogue("I want to relax before bed.", "Good.")
    assert {one.meta["time_of_day"] for one in varied(bed)} == {"evening"}


def test_the_time_of_day_goes_with_its_words() -> None:
    source = dialogue("Good evening. What an evening!", "Enjoy your evening.")
    afternoon = [one for one in varied(source) if one.meta["time_of_day"] == "afternoon"]
    assert afternoon
    assert [message.text for message in afternoon[0].messages] == [
        "Good afternoon. What an afternoon!",
        "Enjoy your afternoon.",
    ]
    morning = seen_contexts([dialogue("Hi.", meta={"time_of_day": "morning", "sun_phase": "day"})])
    made = vary_context(source, Random(1), routines=(), seen=morning)
    assert made is not None
    assert made.messages[0].text == "Good morning. What a morning!"


def routine(**triggers: Any) -> dict[str, Any]:
    return {"triggers": triggers, "actions": {}}


def test_a_reply_that_acts_by_a_routine_keeps_its_triggers() -> None:
    acts = dialogue("Can you adjust the lights?", "Setting the lights to 40% brightness.")
    mine = routine(time_of_day="evening", weather="rainy")
    assert {"time_of_day", "weather"} <= pinned(acts, (mine,))
    assert {(one.meta["time_of_day"], one.meta["weather"]) for one in varied(acts, (mine,))} == {
        ("evening", "rainy")
    }
    assert "weather" not in pinned(acts, (routine(time_of_day="morning", weather="rainy"),))
    told = dialogue("Can you set the lights to 40%?", "Setting the lights to 40% brightness.")
    assert pinned(told, (mine,)) == frozenset()


def test_no_dialogue_is_moved_into_another_routine() -> None:
    free = varied(SET)
    assert any(one.meta["weather"] == "sunny" for one in free)
    held = varied(SET, (routine(weather="sunny"),))
    assert held
    assert not any(one.meta["weather"] == "sunny" for one in held)


def test_facts_get_lost_but_not_those_that_matter() -> None:
    source = dialogue("Good evening. Can you set the lights to 40%?", "Setting the lights to 40% brightness.")
    left = [lose_facts(source, Random(seed), routines=()) for seed in range(40)]
    assert all(one["time_of_day"] == "evening" for one in left)
    assert all(3 <= len(one) < 5 for one in left)
    assert all(META[fact] == value for one in left for fact, value in one.items())
