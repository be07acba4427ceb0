"""A persona's routines in words: when something happens, and what the home then does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_ORDER = ("day_of_week", "time_of_day", "sun_phase", "weather", "outdoor_temp")


@dataclass(frozen=True, slots=True)
class Routine:
    """One routine: its triggers as one phrase, and one phrase a device."""

    when: str
    then: tuple[tuple[str, str], ...]


def in_words(routines: Iterable[Mapping[str, Any]]) -> list[Routine]:
    """Return routines (EdgeWisePersona's: triggers and actions) in words; what is null is left out."""
    return [
        Routine(
            situation(entry.get("triggers") or {}),
            tuple(_action(device, what) for device, what in (entry.get("actions") or {}).items() if what),
        )
        for entry in routines
    ]


def situation(triggers: Mapping[str, Any]) -> str:
    """Word a situation: {"day_of_week": "weekend", "time_of_day": "night"} -> "Weekend, night"."""
    keys = [*(key for key in _ORDER if key in triggers), *(key for key in triggers if key not in _ORDER)]
    told = [_told(key, triggers[key]) for key in keys if triggers[key] not in (None, "")]
    return ", ".join(dict.fromkeys(told)).capitalize() or "At any time"  # "night" is an hour and a sky


def _told(key: str, value: Any) -> str:
    words = str(value).replace("_", " ")
    return f"{words} outside" if key == "outdoor_temp" else words


def _action(device: str, what: Any) -> tuple[str, str]:
    name = device.upper() if len(device) == 2 else device.replace("_", " ").capitalize()
    if not isinstance(what, Mapping):
        return name, str(what)
    told = [_setting(key.replace("_", " "), value) for key, value in what.items() if value is not None]
    return name, ", ".join(told)


def _setting(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"not {name}"
    return f"{name} {value}"
