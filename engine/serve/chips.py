"""What a reply does, in short words: each setting, and whether the right reply makes it too.

Owns the wording and the comparison for the eye; scores are engine/domains/metrics.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.domains.smart_home.actions import Setting, extract

Mark = Literal["plain", "right", "wrong", "missing"]
_DEVICES = {"tv": "TV", "ac": "AC"}


@dataclass(frozen=True, slots=True)
class Chip:
    """One thing done. `mark` says how it stands to the right reply; "plain" where there is none."""

    words: str
    mark: Mark


def chips(actions: Mapping[str, Any], reference: str | None) -> list[Chip]:
    """Return what a reply does (engine/serve/answering.py's actions), then what only the right reply does."""
    made = [Setting(*setting) for setting in actions["settings"]]
    set_devices = {setting.device for setting in made}
    named = [device for device in actions["devices"] if device not in set_devices]
    if reference is None:
        done = [Chip(setting_words(one), "plain") for one in made]
        return done + [Chip(f"{_device(device)} named", "plain") for device in named]
    right = extract(reference)
    found = [Chip(setting_words(one), "right" if one in right.settings else "wrong") for one in made]
    found += [
        Chip(f"{_device(device)} named", "right" if device in right.devices else "wrong") for device in named
    ]
    missing = sorted(right.settings - set(made), key=str)
    found += [Chip(setting_words(one), "missing") for one in missing]
    untouched = right.devices - set(actions["devices"]) - {one.device for one in missing}
    return found + [Chip(f"{_device(device)} named", "missing") for device in sorted(untouched)]


def setting_words(setting: Setting) -> str:
    """Word one setting: "AC fan speed 3", "lights on", "security disarmed"."""
    device, value = _device(setting.device), setting.value
    if setting.parameter == "armed":
        return f"{device} {'armed' if value else 'disarmed'}"
    if setting.parameter == "power":
        return f"{device} {value}"
    told = f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
    return f"{device} {setting.parameter.replace('_', ' ')} {told}"


def _device(name: str) -> str:
    return _DEVICES.get(name, name.replace("_", " "))
