"""The grammar of replies: symbols in, named devices and settings out.

Owns the walk over the sentences, how devices and parameters bind (a device before a value holds it, a device
after it, "25 on the TV", claims what nothing else holds, and a parameter waits for its value). Numbers are
read by amounts.py, words that are values by values.py, what is switched and armed by power.py. Keeps nothing
between replies.
"""

from collections.abc import Callable

from engine.domains.smart_home.replies.amounts import read_correction, read_measured, read_number
from engine.domains.smart_home.replies.clauses import denied_spans, question_start, sentences
from engine.domains.smart_home.replies.lexicon import (
    DEVICES,
    MODE_OWNER,
    OUTSIDE_DEVICES,
    QUIET_PARAMETER_WORDS,
)
from engine.domains.smart_home.replies.moods import past_spans, quoted, supposed_spans
from engine.domains.smart_home.replies.power import (
    read_arm,
    read_down,
    read_end_of_work,
    read_on_or_off,
    read_power,
    read_rest,
    read_turn,
)
from engine.domains.smart_home.replies.state import Parse, Pending, Value, takes
from engine.domains.smart_home.replies.tokens import Symbol, read_symbols
from engine.domains.smart_home.replies.values import read_level, read_limit, read_value

_CHAIN = frozenset({"device", "and", "comma", "det", "room", "adverb"})
_POSTPOSED = frozenset({"prep", "on", "in", "bind"})
_BEFORE_NOUN = frozenset({"det", "adverb", "room", "word"})
_ACTED_ON = frozenset({"turn", "verb", "down", "power", "on", "off", "adverb"})
_LINKS = frozenset({"and", "comma"})
_HEAT = frozenset({"heat", "heating", "cooling"})


def read(text: str) -> tuple[set[str], set[tuple[str, str, Value]]]:
    """Return the devices that `text` names and the (device, parameter, value) it sets."""
    symbols = read_symbols(text)
    kinds = [symbol.kind for symbol in symbols]
    state = Parse(symbols, [*kinds, "end", "end", "end"], _speak_of_ac(symbols))
    state.quoted = {i for span in quoted(text, symbols) for i in range(*span)}
    for start, stop in sentences(symbols):
        _read_sentence(state, start, stop)
    return state.outcome()


def _read_sentence(state: Parse, start: int, stop: int) -> None:
    state.begin(start)
    supposed, past = _moods(state, start, stop)
    denied = {i for span in denied_spans(state.symbols, start, stop) for i in range(*span)}
    state.used |= denied
    for i in range(start, stop):
        kind = state.kinds[i]
        if i in denied and kind == "device":
            state.scope.denied = str(state.symbols[i].value)
        if i in state.used or kind == "end":
            continue
        if state.asking and i not in supposed and not state.past:
            _read_break(state, i, state.symbols[i])
        state.past = i in past
        state.asking = state.past or i in supposed
        rule = _RULES.get(kind)
        if rule is not None:
            rule(state, i, state.symbols[i])
        if kind not in _CHAIN:
            state.chained = False
    state.close()


def _moods(state: Parse, start: int, stop: int) -> tuple[set[int], set[int]]:
    """Return the symbols of the sentence that ask or suppose, and those that say what held before."""
    symbols = state.symbols
    supposed = {*range(question_start(symbols, start, stop), stop), *state.quoted}
    for span in supposed_spans(symbols, start, stop):
        supposed.update(range(*span))
    past = {i for span in past_spans(symbols, start, stop) for i in range(*span)}
    return supposed, past - supposed


def _speak_of_ac(symbols: list[Symbol]) -> bool:
    modes = {
        str(one.value.value) for one in symbols if one.kind == "value" and "mode" in one.value.parameters
    }
    names_mode = any(one.kind == "param" and one.value == "mode" for one in symbols)
    of_ac = names_mode and any(MODE_OWNER[mode] == "ac" for mode in modes)
    return of_ac or any(_speaks_of_ac(symbol) for symbol in symbols)


def _speaks_of_ac(symbol: Symbol) -> bool:
    if symbol.kind == "device":
        return symbol.value == "ac"
    if symbol.kind == "param":
        return symbol.value in ("temperature", "fan_speed")
    return symbol.text in _HEAT or (symbol.kind == "number" and symbol.value.unit == "degrees")


def _mention(state: Parse, device: str, i: int) -> None:
    joined = state.chained and state.linked
    state.devices.add(device)
    state.scope.named.append(device)
    state.scope.denied = None
    state.scope.group = [*state.scope.group, device] if joined else [device]
    state.conjoined = joined and (state.conjoined or state.linked_by_and)
    state.linked = state.linked_by_and = False
    state.chained = state.tight = state.here = True
    _switch_next(state, device, i, joined=joined)
    _claim(state, device, i)
    _keep_waiting(state, device, joined=joined)


def _switch_next(state: Parse, device: str, i: int, *, joined: bool) -> None:
    """Apply "turn off ..." to its object and to what "and" adds, unless that has a value of its own."""
    if state.power is None:
        return
    if not joined and state.power_used:
        state.power = None
    elif not joined or state.kinds[i + 1] not in ("bind", "param", "aux"):
        state.switch(device, state.power)
        state.power_used = True


def _claim(state: Parse, device: str, i: int) -> None:
    """Give `device` the loose items just before it ("brightness at 40 and volume 25 on the TV")."""
    if not state.items or state.kinds[i + 1] == "param":
        return
    between = state.kinds[state.items[-1].end + 1 : i]
    if not between or between[0] not in _POSTPOSED or len(between) > 4:
        return
    if not _BEFORE_NOUN.issuperset(between[1:]):
        return
    for item in reversed(state.items):
        if item.bound or not takes(device, item.parameter):
            break
        item.devices, item.bound = (device,), True
    state.tight = False


def _keep_waiting(state: Parse, device: str, *, joined: bool) -> None:
    """Let the parameters that `device` has wait on ("volume of the TV"); the others got no value."""
    if not state.waiting:
        return
    kept = [p for p in state.waiting if p.parameter is not None and takes(device, p.parameter)]
    for pending in state.waiting:
        if pending not in kept:
            state.name_owner(pending)
    if state.scope.current != device:
        state.scope.named.append(device)
    for pending in kept:
        pending.devices = (*pending.devices, device) if joined else (device,)
    state.waiting = kept


def _read_fan(state: Parse, i: int, symbol: Symbol) -> None:
    """Read "fan": the AC's fan speed in a reply about the AC, else a fan; "a fan of jazz" is none."""
    if state.symbols[i + 1].text == "of" and state.kinds[i + 2] != "number":
        return
    if state.has_ac:
        _wait(state, "fan_speed", i, symbol)
    else:
        _mention(state, "fan", i)


def _read_shine(state: Parse, i: int, symbol: Symbol) -> None:
    """Read "turn the lights up": the lights; "the room lights up" and "lights up your day" name none."""
    if state.kind_at(i - 1) in _ACTED_ON or state.kind_at(i - 1) == "det":
        _mention(state, "lights", i)


def _read_parameter(state: Parse, i: int, symbol: Symbol) -> None:
    outdoors = "outside" in (state.kinds[i + 1], state.kinds[i - 1] if i else "")
    if symbol.value == "temperature" and outdoors:
        state.waiting = [Pending(None, (), i)]
    else:
        _wait(state, str(symbol.value), i, symbol)


def _wait(state: Parse, parameter: str, i: int, symbol: Symbol) -> None:
    """Let `parameter` wait for its value, with the parameters it is listed with."""
    state.parameters.add(parameter)
    pending = Pending(parameter, _owners_before(state, parameter), i, symbol.text in QUIET_PARAMETER_WORDS)
    last = state.waiting[-1] if state.waiting else None
    if last is not None and i - last.at <= 3 and not _LINKS.isdisjoint(state.kinds[last.at + 1 : i]):
        pending.devices = pending.devices or last.devices
        state.waiting.append(pending)
        return
    for replaced in state.waiting:
        state.name_owner(replaced)
    state.waiting = [pending]


def _owners_before(state: Parse, parameter: str) -> tuple[str, ...]:
    """Return the devices of "TV volume" or "TV and speaker volume"; () when none stands right before."""
    if not state.chained or state.linked:
        return ()
    current = state.scope.current
    if current is not None and current not in DEVICES:
        return (current,)
    group = tuple(device for device in state.scope.group if takes(device, parameter))
    return group if current in group else ()


def _read_value(state: Parse, i: int, symbol: Symbol) -> None:
    if read_value(state, i, symbol) or symbol.text not in _HEAT:
        return
    if _is_the_heat(state, i):
        state.kinds[i] = "device"
        _mention(state, "ac", i)
    elif not state.asking and _works_towards(state, i):
        _mention(state, "ac", i)
        state.add("mode", symbol.value.value, i, ("ac",))


def _works_towards(state: Parse, i: int) -> bool:
    """Return whether "cooling" or "heating" is to or at a number: "heating the room to 23"."""
    if state.here and state.scope.current in OUTSIDE_DEVICES:
        return False  # "the oven is heating to 200"
    at = i + 1
    while state.kinds[at] in ("det", "room", "adverb", "particle", "pronoun"):
        at += 1
    return state.symbols[at].text in ("to", "at") and state.kinds[at + 1] == "number"


def _is_the_heat(state: Parse, i: int) -> bool:
    """Return whether "heat" is the device ("turn up the heat", "the heat is at 20", "heating off")."""
    if i == state.start:
        return state.kinds[i + 1] in ("aux", "on", "off")
    if state.kinds[i - 1] != "det":
        return False
    acted_on = not _ACTED_ON.isdisjoint(state.kinds[max(state.start, i - 3) : i])
    return acted_on or state.kinds[i + 1] in ("aux", "on", "off") or state.symbols[i + 1].text in ("to", "at")


def _read_verb(state: Parse, i: int, symbol: Symbol) -> None:
    state.power, state.turning = None, False


def _read_link(state: Parse, i: int, symbol: Symbol) -> None:
    state.linked = True
    state.linked_by_and = state.linked_by_and or symbol.kind == "and"


def _read_break(state: Parse, i: int, symbol: Symbol) -> None:
    for pending in state.waiting:
        state.name_owner(pending)
    likewise = symbol.text == "so" and state.kinds[i + 1] == "aux"  # "so is the speaker"
    state.waiting, state.power, state.turning = [], state.switched if likewise else None, False
    state.power_used = False


def _read_pronoun(state: Parse, i: int, symbol: Symbol) -> None:
    if state.scope.denied is not None:
        _refer(state, state.scope.denied)
    state.here = state.here or bool(state.scope.named)


def _refer(state: Parse, device: str) -> None:
    """Let a pronoun mean a device that was only said not to change: a value names it after all."""
    state.scope.named.append(device)
    state.scope.group, state.scope.denied = [device], None


_RULES: dict[str, Callable[[Parse, int, Symbol], None]] = {
    "device": lambda state, i, symbol: _mention(state, str(symbol.value), i),
    "fan": _read_fan,
    "shine": _read_shine,
    "limit": read_limit,
    "param": _read_parameter,
    "number": read_number,
    "time": read_measured,
    "value": _read_value,
    "level": read_level,
    "turn": read_turn,
    "power": read_power,
    "on": read_on_or_off,
    "off": read_on_or_off,
    "particle": read_down,
    "arm": read_arm,
    "rest": read_rest,
    "neg": read_end_of_work,
    "correction": read_correction,
    "verb": _read_verb,
    "down": _read_verb,
    "and": _read_link,
    "comma": _read_link,
    "break": _read_break,
    "pronoun": _read_pronoun,
}
