"""Rules for what is switched and armed: "turn off the TV", "the lights are lit", "shut it down", "arm it"."""

from engine.domains.smart_home.replies.clauses import AFTER_STATE, ceases
from engine.domains.smart_home.replies.state import Parse
from engine.domains.smart_home.replies.tokens import Symbol

_AFTER_ON = frozenset({"end", "comma", "and", "bind", "with", "prep", "adverb", "break", "time", "in"})
_FALLING = frozenset({"go", "goes", "going", "gone", "went", "falls", "fell", "fallen"})
_ALL = frozenset({"all", "both"})
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
        if symbol.text == "lit" and state.kinds[i + 1] in ("det", "device"):
            state.power, state.power_used = "on", False  # "I've lit the lamps"
        return
    at = state.back_over(_BEFORE_STATE, i - 1)
    before = state.kind_at(at)
    if state.scope.current == "security" and any(one.text in _FALLING for one in state.symbols[at + 1 : i]):
        return  # an alarm that goes off rings
    if before in ("device", "pronoun") or (state.turning and state.here):
        state.switch_group(symbol.kind)
        state.turning = False
    elif state.turning or (state.symbols[i + 1].text == ":" and _of_all(state, i)):
        state.power, state.power_used = symbol.kind, False  # "All three are off: TV, AC, speaker"


def _of_all(state: Parse, i: int) -> bool:
    return i == state.start or not _ALL.isdisjoint(one.text for one in state.symbols[state.start : i])


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
