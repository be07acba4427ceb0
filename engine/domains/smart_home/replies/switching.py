"""Rules for power and arming: "turn off the TV", "the lights are on", "shut it down", "arm the alarm"."""

from __future__ import annotations

from engine.domains.smart_home.replies.state import State
from engine.domains.smart_home.replies.tokens import Symbol

_AFTER_ON = frozenset({"end", "comma", "and", "bind", "with", "prep", "adverb", "break", "time", "in"})
_LIGHT = frozenset({"aux", "adverb"})
_BEFORE_STATE = frozenset({"aux", "adverb", "bind", "verb"})


def read_turn(state: State, i: int, symbol: Symbol) -> None:
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


def read_power(state: State, i: int, symbol: Symbol) -> None:
    """Read verbs that are a state in themselves ("activate", "disable")."""
    _apply(state, str(symbol.value), i)


def _apply(state: State, power: str, i: int) -> None:
    """Switch the subject before symbol `i` ("the TV has been turned off"), else wait for the object."""
    at = state.back_over(_LIGHT, i - 1)
    subject = state.kind_at(at)
    passive = "aux" in state.kinds[at + 1 : i] and subject not in ("subject", "and", "comma")
    if subject == "pronoun" or (state.here and (subject == "device" or passive)):
        state.switch_group(power)
    else:
        state.power, state.power_used = power, False


def read_on_or_off(state: State, i: int, symbol: Symbol) -> None:
    """Read "lights on", "the TV is off", "turn the lights off"; elsewhere "on" is a preposition."""
    if symbol.kind == "on" and state.kinds[i + 1] not in _AFTER_ON:
        return
    before = state.kind_at(state.back_over(_BEFORE_STATE, i - 1))
    if before in ("device", "pronoun") or (state.turning and state.here):
        state.switch_group(symbol.kind)
        state.turning = False
    elif state.turning:
        state.power, state.power_used = symbol.kind, False


def read_down(state: State, i: int, symbol: Symbol) -> None:
    """Read "shutting the TV down"; to turn something down switches nothing."""
    if state.here and state.shutting:
        state.switch_group("off")


def read_arm(state: State, i: int, symbol: Symbol) -> None:
    """Read "arm", "disarmed" ...; "your arm" is none."""
    if i > state.start and state.kinds[i - 1] == "det":
        return
    state.devices.add("security")
    state.scope.named.append("security")
    state.here = True
    if not state.asking:
        state.settings.add(("security", "armed", bool(symbol.value)))
