"""Rules for what a reply states: numbers, and words that are values (modes, colors, levels such as "low").

A number takes the parameter that waits for it ("brightness at 40"), else the one that follows ("40%
brightness"), else its unit's ("22 degrees"), else the main parameter of the device it is bound to. Most value
words have other lives ("a cool evening"), so a weak value needs a parameter waiting for it or following it,
or a device it is bound to.
"""

from __future__ import annotations

from engine.domains.smart_home.replies.lexicon import (
    DEVICES,
    MAIN_PARAMETER,
    MODE_OWNER,
    NUMERIC,
    OWNERS,
    RAISING,
    Reading,
)
from engine.domains.smart_home.replies.state import Item, Parse, Pending, takes
from engine.domains.smart_home.replies.tokens import Quantity, Symbol

FILL = frozenset({"det", "adverb"})
_BETWEEN = frozenset({"to", "and", "~"})
_HOW_FAR = frozenset({"by", "down", "up"})
_LIMITS = frozenset({(0.0, 100.0), (1.0, 100.0), (16.0, 30.0), (1.0, 3.0)})
_OPEN_CHOICE = frozenset({"range", "ranges", "anywhere", "anything", "any", "choose"})
_BEFORE_COUNT = frozenset({"for", "in", "within", "over", "after", "until", "till", "during", "before"})
_DAY_PARTS = frozenset({"morning", "evening", "afternoon", "night"})
_CLOCK_HOURS = 12

Meant = tuple[str, tuple[str, ...], int]


def read_number(state: Parse, i: int, symbol: Symbol) -> None:
    """Read a number: a value, a change ("by 10"), or neither (a time, a count, where a change begins)."""
    quantity: Quantity = symbol.value
    if state.asking or state.kinds[i + 1] == "time" or state.symbols[i - 1].text == "from":
        return  # "from 20" is where a change or a range begins
    if _is_of_a_change(state, i):
        return
    if _is_of_a_range(state, i):
        state.waiting = []
        return
    relative = i > state.start and state.symbols[i - 1].text == "by"
    amount = -abs(quantity.amount) if relative and state.lowering else quantity.amount
    for parameter, devices, end in _numbered(state, i, quantity):
        state.add(f"{parameter}_change" if relative else parameter, amount, end, devices)


def read_correction(state: Parse, i: int, symbol: Symbol) -> None:
    """Let a value after "no,", "sorry,", "I mean" take the place of the one just given."""
    at = i + 1
    while state.kinds[at] in ("comma", "bind", "adverb", "correction"):
        at += 1
    if state.asking or state.kinds[at] not in ("number", "value", "level"):
        return
    if state.items:
        corrected = state.items[-1]
        devices = corrected.devices or ((corrected.nearest,) if corrected.bound and corrected.nearest else ())
    elif state.latest is not None:
        corrected, devices = state.latest, state.latest.devices
    else:
        return
    if _fits_place(corrected, state.symbols[at]):
        state.waiting = [Pending(corrected.parameter, devices, i)]
        state.withdraw(corrected)


def _fits_place(item: Item, symbol: Symbol) -> bool:
    """Whether a symbol may be a value of the item's parameter."""
    if symbol.kind == "number":
        return _fits(item.parameter, symbol.value)
    if symbol.kind == "level":
        return item.parameter in NUMERIC
    return item.parameter in symbol.value.parameters


def _is_of_a_change(state: Parse, i: int) -> bool:
    """Whether the number says how far, and where to follows: "down two degrees to 20", "up by 2 to 24"."""
    if not (state.symbols[i + 1].text == "to" and state.kinds[i + 2] == "number"):
        return False
    before = state.symbols[i - 1].text if i > state.start else ""
    raising = any(one.text.startswith(RAISING) for one in state.symbols[state.start : i])
    return before in _HOW_FAR or ((state.lowering or raising) and before != "from")


def _is_of_a_range(state: Parse, i: int) -> bool:
    """Whether the number is one end of "16 to 30", "16-30" or "between 16 and 30"; "from 16 to 30" too, where
    these are the limits of a parameter."""
    symbols, kinds = state.symbols, state.kinds
    first = i
    if i - 2 >= state.start and kinds[i - 2] == "number" and symbols[i - 1].text in _BETWEEN:
        first = i - 2
        if _is_of_a_change(state, first):
            return False
    elif not (kinds[i + 2] == "number" and symbols[i + 1].text in _BETWEEN):
        return False
    link, before = symbols[first + 1].text, symbols[first - 1].text if first > state.start else ""
    if link == "and":
        return before == "between"
    if before != "from":
        return True
    limits = (symbols[first].value.amount, symbols[first + 2].value.amount)
    return limits in _LIMITS or any(one.text in _OPEN_CHOICE for one in symbols[state.start : first])


def read_measured(state: Parse, i: int, symbol: Symbol) -> None:
    """Let "humidity" swallow its number: no documented device has it."""
    if symbol.text == "humidity" and not (state.tight and state.scope.current not in DEVICES):
        state.waiting = [Pending(None, (), i)]


def following_parameter(state: Parse, i: int) -> int | None:
    """Return the index of the parameter that names the value at `i`, unless a value of its own follows it."""
    at = i + 1
    if state.symbols[at].text in ("for", "of", "in", "on"):
        at += 1
        while state.kinds[at] in FILL:
            at += 1
    if state.kinds[at] not in ("param", "fan") or at in state.used:
        return None
    numeric = state.kinds[at] == "fan" or state.symbols[at].value in NUMERIC
    values = ("number", "level") if numeric else ("value",)
    first, second = state.kinds[at + 1 : at + 3]
    return None if first in values or (first == "bind" and second in values) else at


def following_device(state: Parse, i: int) -> str | None:
    """Return the device of "40 on the lights", unless a parameter or a value of its own follows it."""
    if state.symbols[i + 1].text not in ("on", "for"):
        return None
    at = i + 2
    while state.kinds[at] in ("det", "adverb", "room"):
        at += 1
    if state.kinds[at] != "device" or state.kinds[at + 1] in ("param", "bind"):
        return None
    return str(state.symbols[at].value)


def _numbered(state: Parse, i: int, quantity: Quantity) -> list[Meant]:
    """Return (parameter, devices, last symbol) for each thing that the number at `i` sets."""
    if any(pending.parameter is None for pending in state.waiting):
        state.waiting = []
        return []
    counts = i > state.start and state.symbols[i - 1].text in _BEFORE_COUNT and not quantity.unit
    fitting = [pending for pending in state.waiting if _fits(str(pending.parameter), quantity)]
    if fitting and not counts:
        one_each = state.kinds[i + 1] in ("and", "comma") and "number" in state.kinds[i + 2 : i + 4]
        fitting = fitting[:1] if one_each else fitting
        state.waiting = [pending for pending in state.waiting if pending not in fitting]
        return [(str(pending.parameter), pending.devices, i) for pending in fitting]
    following = following_parameter(state, i)
    if following is not None:
        name = "fan_speed" if state.kinds[following] == "fan" else str(state.symbols[following].value)
        if _fits(name, quantity):
            state.used.add(following)
            return [(name, (), following)]
    return [] if counts else _by_unit_or_device(state, i, quantity)


def _fits(parameter: str, quantity: Quantity) -> bool:
    if quantity.unit == "degrees":
        return parameter == "temperature"
    return parameter in NUMERIC and not (quantity.unit == "percent" and parameter == "temperature")


def _by_unit_or_device(state: Parse, i: int, quantity: Quantity) -> list[Meant]:
    device = state.scope.current
    outside = device is not None and device not in DEVICES
    if quantity.unit == "degrees":
        if outside and state.tight:
            return [("temperature", (str(device),), i)]
        return [] if _speaks_of_weather(state, i) else [("temperature", (), i)]
    bound = _is_bound(state, i, quantity)
    if not (state.tight and (quantity.unit or bound)):
        following = following_device(state, i)
        if following in DEVICES:
            return [(MAIN_PARAMETER[str(following)], (str(following),), i)]
    if device is None or not (quantity.unit or bound):
        return []
    if outside:
        return [("level", (device,), i)] if state.tight else []
    if quantity.unit == "percent" and device == "ac":
        return [("fan_speed", (device,), i)]
    return [(MAIN_PARAMETER[device], (device,) if state.tight else (), i)]


def _speaks_of_weather(state: Parse, i: int) -> bool:
    if "outside" in state.kinds[max(state.start, i - 6) : i + 4]:
        return not state.here
    return not state.scope.named and i > state.start and state.symbols[i - 1].text == "it's"


def _is_bound(state: Parse, i: int, quantity: Quantity) -> bool:
    """Return whether a bare number is tied to the device named in its sentence ("lights to 50")."""
    if not state.here or i == state.start:
        return False
    at = i - 1
    if at > state.start + 1 and state.kinds[at - 1 : at + 1] == ["det", "word"]:
        at -= 2
    at = max(state.back_over(FILL, at), state.start)
    before = state.symbols[at]
    if before.kind in ("device", "on") or (before.text == "(" and state.kinds[at - 1] == "device"):
        return not quantity.spelled
    if before.text == "at":
        return not (quantity.amount <= _CLOCK_HOURS and (quantity.spelled or _tells_time(state, i, at)))
    return before.text in ("to", ":", "=") and not (quantity.spelled and quantity.amount == 1)


def _tells_time(state: Parse, i: int, at: int) -> bool:
    later = {symbol.text for symbol in state.symbols[i + 1 : i + 4]}
    return state.kinds[at - 1] in ("on", "off", "word", "time") or not later.isdisjoint(_DAY_PARTS)


_BEFORE_VALUE = frozenset({"bind", "in", "on", "with", "aux", "verb", "device"})
_AFTER_VALUE = _BEFORE_VALUE - {"aux", "verb", "device"} | {
    "end", "comma", "and", "number", "prep", "time", "break", "adverb", "offer", "param", "level", "value"
}  # fmt: skip
_AFTER_VALUE_WORDS = frozenset({"sound", "setting", "settings", "profile", "preset"})
_REACH = 8  # symbols between a parameter and its value, at most


def read_value(state: Parse, i: int, symbol: Symbol) -> bool:
    """Read a word that may be a value; return whether it is one here. A question names its device only."""
    reading: Reading = symbol.value
    if state.past or state.symbols[i - 1].text == "from":
        return True  # what held before, and where a change begins
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


def read_level(state: Parse, i: int, symbol: Symbol) -> None:
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


def _meant(state: Parse, i: int, reading: Reading) -> Meant | None:
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


def _by_device(state: Parse, i: int, reading: Reading) -> Meant | None:
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


def _takes_value(state: Parse, pending: Pending, i: int, reading: Reading) -> bool:
    if i - pending.at > _REACH or state.kinds[i - 1] in ("word", "subject"):
        return False
    automatic_fan = pending.parameter == "fan_speed" and reading.value == "auto"
    return pending.parameter in reading.parameters or automatic_fan


def _stands_as_value(state: Parse, i: int, device: str) -> bool:
    """Return whether the word at `i` is tied to `device` ("AC to heat", "50%, warm") and ends there."""
    after = state.symbols[i + 1]
    if after.kind not in _AFTER_VALUE and after.text not in _AFTER_VALUE_WORDS:
        return False
    at = state.back_over(FILL, i - 1)
    if at < state.start:
        return False
    if state.kinds[at] == "pronoun" and state.kind_at(at - 1) == "verb":
        return True  # "made them blue"
    if state.kinds[at] in _BEFORE_VALUE:
        return state.kinds[at] != "device" or state.symbols[at].value == device
    while at > state.start and state.kinds[at] in ("comma", "and"):
        at -= 1
    return bool(state.items) and state.items[-1].end == at
