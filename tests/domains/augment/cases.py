"""Dialogues written by hand for the tests of augmentation."""

from __future__ import annotations

from typing import Any

from engine.core.types import Dialogue, Message

META = {
    "time_of_day": "evening",
    "day_of_week": "weekday",
    "sun_phase": "after_sunset",
    "weather": "rainy",
    "outdoor_temp": "mild",
}


def dialogue(*said: str, meta: dict[str, Any] | None = None, number: int = 0) -> Dialogue:
    """A dialogue of p1; user and assistant take turns."""
    messages = tuple(Message("assistant" if place % 2 else "user", text) for place, text in enumerate(said))
    return Dialogue("p1", f"p1/{number:04d}", number, messages, dict(META if meta is None else meta))


SET = dialogue(
    "Can you set the lights to 40% brightness and warm color? The tea is already brewing.",
    "Setting the lights to 40% brightness with warm color. Anything else?",
    "Also, please turn off the TV.",
    "The TV has been turned off.",
    "That's all.",
    "You're welcome.",
)
