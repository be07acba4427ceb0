"""Rules for words that are values: modes, colors, inputs, equalizers, and levels such as "low" or "full".

Most of these words have other lives ("a cool evening"), so a weak value needs a parameter waiting for it or
following it, or a device it is bound to.
"""

from __future__ import annotations

from engine.domains.smart_home.replies.lexicon import (
    DEVICES,
    MAIN_PARAMETER,
    MODE_OWNER,
    NUMERIC,
    OWNERS,
    Reading,
)
from engine.domains.smart_home.replies.quantities import FILL, following_device, following_parameter
from engine.domains.smart_home.replies.state import Pending, State, takes
from engine.domains.smart_home.replies.tokens import Symbol

_BEFORE_VALUE = frozenset({"bind", "in", "on", "with", "aux", "verb", "device"})
_AFTER_VALUE = _BEFORE_VALUE - {"aux", "verb", "device"} | {
    "end", "comma", "and", "number", "prep", "time", "break", "adverb", "offer", "param", "level", "value"
}  # fmt: skip
_AFTER_VALUE_WORDS = frozenset({"sound", "setting", "settings", "profile", "preset"})
_REACH = 8  # symbols between a parameter and its value, at most

Meant = tuple[str, tuple[str, ...], int]


def read_value(state: State, i: int, symbol: Symbol) -> bool:
    """Read a word that may be a value; return whether it is one here. A question names its device only."""
    reading: Reading = symbol.value
    if state.symbols[i - 1].text == "from" and state.kinds[i + 1 : i + 3] == ["bind", "value"]:
        return True  # where a change begins
    found = _meant(state, i, reading)
    if found is None:
        return False
    parameter, devices, end = found
    speaks_for_tv_or_speaker = reading.strength == "strong" and parameter != "mode"
    if state.asking:
        if speaks_for_tv_or_speaker:
            state.name_owner(Pending(parameter, (), i))
        return True
    state.add(parameter, reading.value, end, devices)
    if speaks_for_tv_or_speaker and state.scope.current != OWNERS[parameter][0]:
        state.scope.named.append(OWNERS[parameter][0])
    return True


def read_level(state: State, i: int, symbol: Symbol) -> None:
    """Read "low", "full" and the like: a value only beside a numeric parameter or bound to a device."""
    if state.asking:
        return
    for pending in state.waiting:
        if pending.parameter in NUMERIC and state.kinds[i - 1] != "word":
            state.waiting = [other for other in state.waiting if other is not pending]
            state.add(str(pending.parameter), symbol.value, i, pending.devices)
            return
    following = following_parameter(state, i)
    if following is not None and state.symbols[following].value in NUMERIC:
        state.used.add(following)
        state.add(str(state.symbols[following].value), symbol.value, following)
        return
    device = state.scope.current
    if device in DEVICES and state.here and _stands_as_value(state, i, str(device)):
        parameter = "fan_speed" if device == "ac" else MAIN_PARAMETER[str(device)]
        state.add(parameter, symbol.value, i, (str(device),) if state.tight else ())


def _meant(state: State, i: int, reading: Reading) -> Meant | None:
    """Return (parameter, devices, last symbol) when the word at `i` is a value here, else None."""
    following = following_parameter(state, i) if state.kinds[i + 1] == "param" else None
    if following is not None and state.symbols[following].value in reading.parameters:
        state.used.add(following)
        return str(state.symbols[following].value), (), following
    for pending in state.waiting:
        if _takes_value(state, pending, i, reading):
            state.waiting = [other for other in state.waiting if other is not pending]
            return str(pending.parameter), pending.devices, i
    if reading.strength == "strong":
        return reading.parameters[0], (), i
    if reading.strength == "preset":
        return None
    lights_follow = state.kinds[i + 1] == "device" and state.symbols[i + 1].value == "lights"
    if lights_follow and "color" in reading.parameters:
        return "color", ("lights",), i
    return _by_device(state, i, reading)


def _by_device(state: State, i: int, reading: Reading) -> Meant | None:
    after = following_device(state, i)
    device = state.scope.current
    if after is not None and _reads_on(reading, after):
        return str(_reads_on(reading, after)), (after,), i
    if device is None or not _stands_as_value(state, i, device):
        return None
    parameter = _reads_on(reading, device)
    return (parameter, (device,) if state.tight else (), i) if parameter else None


def _reads_on(reading: Reading, device: str) -> str | None:
    """Return the parameter of `device` that the word may be a value of."""
    for parameter in reading.parameters:
        owner = MODE_OWNER.get(reading.value) if parameter == "mode" else device
        if owner == device and takes(device, parameter):
            return parameter
    return None


def _takes_value(state: State, pending: Pending, i: int, reading: Reading) -> bool:
    if i - pending.at > _REACH or state.kinds[i - 1] in ("word", "subject"):
        return False
    automatic_fan = pending.parameter == "fan_speed" and reading.value == "auto"
    return pending.parameter in reading.parameters or automatic_fan


def _stands_as_value(state: State, i: int, device: str) -> bool:
    """Return whether the word at `i` is tied to `device` ("AC to heat", "50%, warm") and ends there."""
    after = state.symbols[i + 1]
    if after.kind not in _AFTER_VALUE and after.text not in _AFTER_VALUE_WORDS:
        return False
    at = state.back_over(FILL, i - 1)
    if at < state.start:
        return False
    if state.kinds[at] in _BEFORE_VALUE:
        return state.kinds[at] != "device" or state.symbols[at].value == device
    while at > state.start and state.kinds[at] in ("comma", "and"):
        at -= 1
    return bool(state.items) and state.items[-1].end == at
