"""The grammar of replies: symbols in, named devices and settings out.

Owns the walk over the sentences, how devices and parameters bind (a device before a value holds it, a device
after it, "25 on the TV", claims what nothing else holds, and a parameter waits for its value), and the rules
for power and arming: "turn off the TV", "the lights are on", "shut it down", "arm the alarm". Values are read
by values.py. Keeps nothing between replies.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.domains.smart_home.replies.clauses import (
    AFTER_STATE,
    ceases,
    denied_spans,
    question_start,
    sentences,
)
from engine.domains.smart_home.replies.lexicon import DEVICES, QUIET_PARAMETER_WORDS
from engine.domains.smart_home.replies.moods import past_spans, quoted, supposed_spans
from engine.domains.smart_home.replies.state import Parse, Pending, Value, takes
from engine.domains.smart_home.replies.tokens import Symbol, read_symbols
from engine.domains.smart_home.replies.values import (
    read_correction,
    read_level,
    read_measured,
    read_number,
    read_value,
)

_AFTER_ON = frozenset({"end", "comma", "and", "bind", "with", "prep", "adverb", "break", "time", "in"})
_FALLING = frozenset({"go", "goes", "going", "gone", "went", "falls", "fell", "fallen"})
_LIGHT = frozenset({"aux", "adverb"})
_BEFORE_STATE = frozenset({"aux", "adverb", "bind", "verb", "stay"})


def read_turn(state: Parse, i: int, symbol: Symbol) -> None:
    """Read "turn", "switch", "power", "shut" with the "on" or "off" that follows at once, if any."""
    state.turning, state.power = True, None
    state.shutting = symbol.text.startswith(("shut", "power"))
    at = i + 1
    while state.kinds[at] in ("pronoun", "adverb"):
        at += 1
    if state.kinds[at] in ("on", "off"):
        state.used.add(at)
        if "pronoun" in state.kinds[i:at]:
            state.switch_group(state.kinds[at])
        else:
            _apply(state, state.kinds[at], i)


def read_power(state: Parse, i: int, symbol: Symbol) -> None:
    """Read verbs that are a state in themselves ("activate", "disable")."""
    _apply(state, str(symbol.value), i)


def _apply(state: Parse, power: str, i: int) -> None:
    """Switch the subject before symbol `i` ("the TV has been turned off"), else wait for the object."""
    at = state.back_over(_LIGHT, i - 1)
    subject = state.kind_at(at)
    passive = "aux" in state.kinds[at + 1 : i] and subject not in ("subject", "and", "comma")
    if subject == "pronoun" or (state.here and (subject == "device" or passive)):
        state.switch_group(power)
    else:
        state.power, state.power_used = power, False


def read_on_or_off(state: Parse, i: int, symbol: Symbol) -> None:
    """Read "lights on", "the TV is off", "turn the lights off"; elsewhere "on" is a preposition."""
    if symbol.kind == "on" and state.kinds[i + 1] not in _AFTER_ON:
        return
    before = state.kind_at(state.back_over(_BEFORE_STATE, i - 1))
    if before in ("device", "pronoun") or (state.turning and state.here):
        state.switch_group(symbol.kind)
        state.turning = False
    elif state.turning:
        state.power, state.power_used = symbol.kind, False


def read_down(state: Parse, i: int, symbol: Symbol) -> None:
    """Read "shutting the TV down"; to turn something down switches nothing."""
    if state.here and state.shutting:
        state.switch_group("off")


def read_rest(state: Parse, i: int, symbol: Symbol) -> None:
    """Read "the AC goes quiet", "the TV has gone dark", "lights out": off in other words."""
    if state.kinds[i + 1] not in AFTER_STATE or not state.here:
        return
    at = state.back_over(_LIGHT, i - 1)
    between = {one.text for one in state.symbols[at + 1 : i]}
    goes = symbol.text != "out" and not _FALLING.isdisjoint(between)
    out = symbol.text == "out" and state.scope.current == "lights"
    if state.kind_at(at) in ("device", "pronoun") and (goes or out):
        state.switch_group("off")


def read_end_of_work(state: Parse, i: int, symbol: Symbol) -> None:
    """Read "the TV is no longer on": off; other negations are no rule's."""
    if not ceases(state.symbols, i):
        return
    state.used.add(i + 1)
    if state.here and state.kind_at(state.back_over(_LIGHT, i - 1)) in ("device", "pronoun"):
        state.switch_group("off")


def read_arm(state: Parse, i: int, symbol: Symbol) -> None:
    """Read "arm", "disarmed" ...; "your arm" is none."""
    if i > state.start and state.kinds[i - 1] == "det":
        return
    state.devices.add("security")
    state.scope.named.append("security")
    state.here = True
    if not state.asking:
        state.settings.add(("security", "armed", bool(symbol.value)))


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
    state = Parse(symbols, [*kinds, "end", "end", "end"], any(_speaks_of_ac(symbol) for symbol in symbols))
    state.quoted = {i for span in quoted(text, symbols) for i in range(*span)}
    for start, stop in sentences(symbols):
        _read_sentence(state, start, stop)
    return state.devices, state.settings


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


def _speaks_of_ac(symbol: Symbol) -> bool:
    if symbol.kind == "device":
        return symbol.value == "ac"
    if symbol.kind == "param":
        return symbol.value in ("temperature", "fan_speed")
    return symbol.kind == "number" and symbol.value.unit == "degrees"


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
    if not read_value(state, i, symbol) and symbol.text in _HEAT and _is_the_heat(state, i):
        _mention(state, "ac", i)


def _is_the_heat(state: Parse, i: int) -> bool:
    """Return whether "heat" is the device ("turn up the heat", "the heat is at 20")."""
    if i == state.start or state.kinds[i - 1] != "det":
        return False
    acted_on = not _ACTED_ON.isdisjoint(state.kinds[max(state.start, i - 3) : i])
    return acted_on or state.kinds[i + 1] in ("aux", "on", "off") or state.symbols[i + 1].text in ("to", "at")


def _read_verb(state: Parse, i: int, symbol: Symbol) -> None:
    state.power, state.turning, state.lowering = None, False, symbol.kind == "down"


def _read_link(state: Parse, i: int, symbol: Symbol) -> None:
    state.linked = True
    state.linked_by_and = state.linked_by_and or symbol.kind == "and"


def _read_break(state: Parse, i: int, symbol: Symbol) -> None:
    for pending in state.waiting:
        state.name_owner(pending)
    state.waiting, state.power, state.turning = [], None, False


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
