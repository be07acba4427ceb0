"""Rules for words that are values: modes, colors, sources, levels such as "low".

Most value words have other lives ("a cool evening"), so a weak value needs a parameter waiting for it or
following it, or a device it is bound to.
"""

from engine.domains.smart_home.replies.clauses import AFTER_STATE
from engine.domains.smart_home.replies.lexicon import (
    DEVICES,
    LEAVING,
    MAIN_PARAMETER,
    MODE_OWNER,
    NUMERIC,
    OWNERS,
    Reading,
)
from engine.domains.smart_home.replies.state import Parse, Pending, takes
from engine.domains.smart_home.replies.tokens import Symbol

FILL = frozenset({"det", "adverb"})
Meant = tuple[str, tuple[str, ...], int]
_BEFORE_VALUE = frozenset({"bind", "in", "on", "with", "aux", "verb", "device"})
_AFTER_VALUE = _BEFORE_VALUE - {"aux", "verb", "device"} | {
    "end", "comma", "and", "number", "prep", "time", "break", "adverb", "offer", "param", "level", "value"
}  # fmt: skip
_AFTER_VALUE_WORDS = frozenset({"sound", "setting", "settings", "profile", "preset"})
_LIMITED = frozenset({"maximum", "max", "highest", "lowest"})
_LINKS_LIMIT = frozenset({"is", "was", "are", "of"})
_OF_WEATHER = frozenset({"warm", "cool", "dry"})
_REACH = 8  # symbols between a parameter and its value, at most


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


def read_value(state: Parse, i: int, symbol: Symbol) -> bool:
    """Read a word that may be a value; return whether it is one here. A question names its device only."""
    reading: Reading = symbol.value
    if state.past or state.symbols[i - 1].text in LEAVING:
        return True  # what held before, and where a change begins
    found = _meant(state, i, reading)
    if found is None:
        return False
    parameter, devices, end = found
    if _switched_off(state, end):
        state.name_owner(Pending(parameter, devices, i))
        return True
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
    if state.asking or _is_a_measure(state, i):
        return
    if symbol.text in _LIMITED and _is_limit(state, i):
        read_limit(state, i, symbol)
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


def _is_a_measure(state: Parse, i: int) -> bool:
    """Whether a level tells how far: "by half", "half as bright", "as low as it goes"."""
    before, after = state.symbols[i - 1].text, state.symbols[i + 1].text
    return before == "by" or (after == "as" and (before == "as" or state.kinds[i + 2] == "word"))


def read_limit(state: Parse, i: int, symbol: Symbol) -> None:
    """Let "the limit is" and "the maximum volume is" swallow their number."""
    if not state.asking and _is_limit(state, i):
        state.used.add(i + 1)
        state.waiting = [Pending(None, (), i)]


def _is_limit(state: Parse, i: int) -> bool:
    at = i + 2 if state.kinds[i + 1] in ("param", "fan") else i + 1
    return state.symbols[at].text in _LINKS_LIMIT and state.kinds[at + 1] == "number"


def _switched_off(state: Parse, end: int) -> bool:
    """Whether what a value is said of is that it is off: "heat mode off", "bass boost is off"."""
    at = end + 1
    while state.kinds[at] in ("aux", "adverb"):
        at += 1
    if state.kinds[at] != "off" or state.kinds[at + 1] not in AFTER_STATE:
        return False
    state.used.add(at)
    return True


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
    changed = _changed_from(state, i, reading)
    if changed is not None:
        return changed, (), i
    if reading.strength == "strong":
        return reading.parameters[0], (), i
    if reading.strength == "preset":
        return None
    lights_follow = state.kinds[i + 1] == "device" and state.symbols[i + 1].value == "lights"
    if lights_follow and "color" in reading.parameters:
        return "color", ("lights",), i
    return _by_device(state, i, reading)


def _changed_from(state: Parse, i: int, reading: Reading) -> str | None:
    """Return the parameter of "from heat to cool", which both words are values of."""
    if i - 3 < state.start or state.symbols[i - 3].text != "from" or state.symbols[i - 1].text != "to":
        return None
    if state.kinds[i - 2] != "value":
        return None
    shared = [name for name in reading.parameters if name in state.symbols[i - 2].value.parameters]
    return shared[0] if shared else None


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
    if state.kinds[at] == "pronoun":  # "made them blue", "they're blue"; "it's cool" is the weather
        told = str(state.symbols[i].value.value) if state.kinds[i] == "value" else ""
        is_said = state.symbols[at].text == "they're" or (
            state.symbols[at].text == "it's" and told and told not in _OF_WEATHER
        )
        return is_said or state.kind_at(at - 1) == "verb"
    if state.kinds[at] in _BEFORE_VALUE:
        return state.kinds[at] != "device" or state.symbols[at].value == device
    while at > state.start and state.kinds[at] in ("comma", "and"):
        at -= 1
    return bool(state.items) and state.items[-1].end == at
