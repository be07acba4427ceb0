"""A persona's routines in words: when something happens, and what the home then does."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.domains.domain import Routine
from engine.domains.smart_home.actions import device_name

FACTS: Final = ("day_of_week", "time_of_day", "sun_phase", "weather", "outdoor_temp")


def word(key: str, value: Any) -> str:
    """Word one circumstance, as every prompt has it: ("outdoor_temp", "cold") -> "cold outside"."""
    return f"{value} outside" if key == "outdoor_temp" else str(value).replace("_", " ")


def in_words(routines: Iterable[Mapping[str, Any]]) -> list[Routine]:
    """Return routines (EdgeWisePersona's: triggers and actions) in words; what is null is left out."""
    return [
        Routine(
            _when(entry.get("triggers") or {}),
            tuple(_action(device, what) for device, what in (entry.get("actions") or {}).items() if what),
        )
        for entry in routines
    ]


def _when(triggers: Mapping[str, Any]) -> str:
    keys = [*(key for key in FACTS if key in triggers), *(key for key in triggers if key not in FACTS)]
    told = [word(key, triggers[key]) for key in keys if triggers[key] not in (None, "")]
    return ", ".join(dict.fromkeys(told)).capitalize() or "At any time"


def _action(device: str, what: Any) -> tuple[str, str]:
    if not isinstance(what, Mapping):
        return device_name(device), str(what)
    told = [_setting(key.replace("_", " "), value) for key, value in what.items() if value is not None]
    return device_name(device), ", ".join(told)


def _setting(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"not {name}"
    return f"{name} {value}"
