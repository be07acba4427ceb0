"""What a reply does, in words, marked against the right reply."""

from __future__ import annotations

from engine.domains.smart_home.actions import Setting, extract
from engine.serve.chips import Chip, chips, setting_words


def actions(text: str) -> dict[str, object]:
    found = extract(text)
    settings = sorted(([s.device, s.parameter, s.value] for s in found.settings), key=str)
    return {"devices": sorted(found.devices), "settings": settings}


def test_without_a_reference_everything_done_is_plain() -> None:
    found = chips(actions("Setting the AC to 22 degrees. Shall I dim the lights?"), None)
    assert Chip("AC temperature 22", "plain") in found
    assert Chip("lights named", "plain") in found
    assert {chip.mark for chip in found} == {"plain"}


def test_each_setting_is_right_wrong_or_missing() -> None:
    said = "Setting the AC to 22 degrees and fan speed 3."
    right = "Setting the AC to 22 degrees and fan speed 1. Setting the TV to volume 20."
    found = {(chip.words, chip.mark) for chip in chips(actions(said), right)}
    assert ("AC temperature 22", "right") in found
    assert ("AC fan speed 3", "wrong") in found
    assert ("AC fan speed 1", "missing") in found
    assert ("TV volume 20", "missing") in found


def test_a_device_named_is_right_when_the_right_reply_names_it() -> None:
    asks = "What brightness would you like for the lights?"
    assert chips(actions(asks), asks) == [Chip("lights named", "right")]
    assert Chip("lights named", "missing") in chips(actions("Good night."), asks)


def test_switches_read_as_words() -> None:
    assert setting_words(Setting("security", "armed", False)) == "security disarmed"
    assert setting_words(Setting("tv", "power", "on")) == "TV on"
    assert setting_words(Setting("tv", "input_source", "Disney+")) == "TV input source Disney+"
    assert setting_words(Setting("ac", "temperature", 21.5)) == "AC temperature 21.5"
