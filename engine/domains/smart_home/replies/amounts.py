"""Rules for numbers: a value, a change ("by 10", "two degrees warmer"), or neither (a time, weather).

A number takes the parameter that waits for it ("brightness at 40"), else the one that follows ("40%
brightness"), else what the change before it led to ("up by 20, now at 60"), else its unit's ("22 degrees"),
else the main parameter of the device it is bound to.
"""

from engine.domains.smart_home.replies.lexicon import (
    COMPARED,
    DEVICES,
    LEAVING,
    LOWERING,
    MAIN_PARAMETER,
    MODE_OWNER,
    NUMERIC,
    RAISING,
)
from engine.domains.smart_home.replies.state import Item, Parse, Pending, base_of, is_change
from engine.domains.smart_home.replies.tokens import Quantity, Symbol
from engine.domains.smart_home.replies.values import FILL, Meant, following_device, following_parameter

_BETWEEN = frozenset({"to", "and", "~"})
_HOW_FAR = frozenset({"by", "down", "up"})
_LIMITS = frozenset({(0.0, 100.0), (1.0, 100.0), (16.0, 30.0), (1.0, 3.0)})
_OPEN_CHOICE = frozenset({"range", "ranges", "anywhere", "anything", "any", "choose"})
_BEFORE_COUNT = frozenset({"for", "in", "within", "over", "after", "until", "till", "during", "before"})
_DAY_PARTS = frozenset({"morning", "evening", "afternoon", "night"})
_CLOCK_HOURS = 12
_LEAST_TARGET = 10.0  # degrees: no home is set to fewer
_SAID_OF_IT = frozenset({"pronoun", "aux", "adverb"})
_DAYS = frozenset({"tomorrow", "today", "tonight"})


def read_number(state: Parse, i: int, symbol: Symbol) -> None:
    """Read a number: a value, a change ("by 10"), or neither (a time, a count, where a change begins)."""
    quantity: Quantity = symbol.value
    counts = state.kinds[i + 1] == "time" and state.symbols[i + 1].text not in _DAYS
    if state.asking or counts or state.kinds[i - 1] == "numbered":
        return
    if state.symbols[i - 1].text in LEAVING:
        return  # "from 20" is where a change or a range begins
    if _is_of_a_change(state, i):
        return
    if _is_of_a_range(state, i):
        state.waiting = []
        return
    compared = COMPARED.get(state.symbols[i + 1].text)
    if compared is not None and state.kinds[i - 1] != "bind":  # not "at 40 more or less"
        _read_compared(state, i, quantity, *compared)
        return
    relative = i > state.start and (state.symbols[i - 1].text in _HOW_FAR or _is_a_step(state, i, quantity))
    falls = relative and _direction(state, i) < 0
    amount = -abs(quantity.amount) if falls else quantity.amount
    for parameter, devices, end in _numbered(state, i, quantity):
        name = f"{parameter}_change" if relative else parameter
        told = state.items[-1] if state.items else None
        if told is not None and told.parameter == name and _acts_on_it(state, told, i):
            state.withdraw(told)
        state.add(name, amount, end, devices)


def _is_a_step(state: Parse, i: int, quantity: Quantity) -> bool:
    """Whether few degrees stand where "by" could: "raised the temperature 3 degrees"."""
    few = quantity.unit == "degrees" and abs(quantity.amount) < _LEAST_TARGET
    return few and state.kinds[i - 1] in ("param", "device", "pronoun") and _direction(state, i) != 0


def _acts_on_it(state: Parse, told: Item, i: int) -> bool:
    """Whether something is done to what had the value `told`: "at 30, I'll lower it to 20"."""
    between = state.kinds[told.end + 1 : i]
    acts = any(kind in ("verb", "down", "turn") for kind in between)
    return acts and "pronoun" in between and len(state.scope.named) == told.named_before


def _read_compared(state: Parse, i: int, quantity: Quantity, sign: int, of: str | None) -> None:
    """Read "two degrees warmer", "10% lower": a change, of the parameter that the word speaks of."""
    state.used.add(i + 1)
    if of is None:
        meant = _numbered(state, i, quantity)
    else:
        weather = _speaks_of_weather(state, i) or "outside" in state.kinds[i + 1 : i + 5]
        spoken_of = _fits(of, quantity) and not weather
        meant = [(of, (), i)] if spoken_of and (state.here or state.waiting) else []
        state.waiting = []
    for parameter, devices, end in meant:
        state.add(f"{parameter}_change", sign * abs(quantity.amount), end, devices)


def _direction(state: Parse, i: int) -> int:
    """Return which way the nearest word before the number `i` leads: 1 up, -1 down, 0 where none does."""
    for one in reversed(state.symbols[state.start : i]):
        last = one.text.rpartition(" ")[2]
        if last == "up" or one.text.startswith(RAISING):
            return 1
        if last == "down" or one.text.startswith(LOWERING):
            return -1
    return 0


def read_correction(state: Parse, i: int, symbol: Symbol) -> None:
    """Let a value after "no,", "sorry,", "I mean" take the place of the one just given."""
    at = i + 1
    while state.kinds[at] in ("comma", "bind", "adverb", "correction"):
        at += 1
    if state.asking or state.kinds[at] not in ("number", "value", "level"):
        return
    if state.items:
        corrected, devices = state.items[-1], state.items[-1].owners
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
    return before in _HOW_FAR or (_direction(state, i) != 0 and before != "from")


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
    """Let "humidity" and "battery" swallow their number: no documented device sets it."""
    if symbol.text in ("humidity", "battery") and not (state.tight and state.scope.current not in DEVICES):
        state.waiting = [Pending(None, (), i)]


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
    if counts:
        return []
    return _where_to(state, i, quantity) or _by_unit_or_device(state, i, quantity)


def _where_to(state: Parse, i: int, quantity: Quantity) -> list[Meant]:
    """Return what a number sets that follows on the value before it: "up by 20, now at 60", "cool at 19"."""
    told = state.items[-1] if state.items else state.latest
    at = state.back_over(FILL, i - 1)
    if told is None or len(state.scope.named) != told.named_before:
        return []
    if told.parameter == "mode" and told.end == at - 1 and state.symbols[at].text in ("at", "to"):
        of_ac = MODE_OWNER[str(told.value)] == "ac" and _fits("temperature", quantity)
        return [("temperature", ("ac",), i)] if of_ac else []  # "cool mode at 19"
    if not is_change(told.parameter):
        return []
    now = any(one.text == "now" for one in state.symbols[at + 1 : i])
    leads = now or state.kind_at(at) in ("aux", "pronoun") or state.symbols[at].text in ("to", "at")
    parameter = base_of(told.parameter)
    return [(parameter, told.owners, i)] if leads and _fits(parameter, quantity) else []


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
    return [(MAIN_PARAMETER[device], state.alike() or ((device,) if state.tight else ()), i)]


def _speaks_of_weather(state: Parse, i: int) -> bool:
    if "outside" in state.kinds[max(state.start, i - 6) : i + 4]:
        return not state.here
    at = state.back_over(_SAID_OF_IT, i - 1)
    if state.kinds[at + 1] == "pronoun" and at >= state.start:
        before = state.symbols[at].text  # "because it is 19 degrees", "tomorrow it will be 12"
        if before in ("because", "since") or (before in _DAYS and not state.here):
            return True
    return not state.scope.named and i > state.start and state.symbols[i - 1].text == "it's"


def _is_bound(state: Parse, i: int, quantity: Quantity) -> bool:
    """Return whether a bare number is tied to the device named in its sentence ("lights to 50")."""
    if not state.here or i == state.start:
        return False
    if state.symbols[i - 1].text in _HOW_FAR:
        return _direction(state, i) != 0
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
    return state.kinds[at - 1] in ("on", "off", "word", "time", "power", "arm") or not later.isdisjoint(
        _DAY_PARTS
    )
