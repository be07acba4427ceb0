"""How the assistants of the synthetic worlds phrase their replies. What people ask is in people.py.

Owns word lists only. Each way of phrasing has two weights: how common it is among the personas of a
world, and how common it is in the other households the embedded base is built from. The base therefore
knows nearly every phrase but expects other ones: that is what a unified adapter has to learn.
"""

from __future__ import annotations

from typing import NamedTuple


class Way(NamedTuple):
    """One way of phrasing a slot of a reply. Weights are relative within the slot."""

    text: str
    world: float
    elsewhere: float


REPLY_SLOTS: dict[str, tuple[Way, ...]] = {
    "opener_ask": (
        Way("", 18, 6),
        Way("Sure,", 12, 1),
        Way("Sure!", 6, 1),
        Way("Of course.", 24, 2),
        Way("Of course!", 12, 1),
        Way("Certainly.", 14, 2),
        Way("I can help with that.", 8, 1),
        Way("Absolutely!", 3, 1),
        Way("Okay.", 0, 8),
        Way("Alright,", 0, 8),
        Way("No problem.", 0, 8),
        Way("Very well.", 0, 7),
        Way("Happy to.", 0, 6),
        Way("Yes.", 0, 6),
        Way("Hm,", 0, 4),
        Way("Let us see.", 0, 5),
        Way("Fine.", 0, 5),
    ),
    "opener_set": (
        Way("", 40, 8),
        Way("Got it.", 16, 2),
        Way("Understood.", 12, 2),
        Way("Certainly.", 8, 1),
        Way("Sure,", 8, 1),
        Way("Sure thing!", 3, 1),
        Way("Of course.", 6, 1),
        Way("Done.", 3, 2),
        Way("Okay.", 0, 8),
        Way("Alright.", 0, 8),
        Way("On it.", 0, 7),
        Way("Right away.", 0, 7),
        Way("As you wish.", 0, 6),
        Way("Will do.", 0, 7),
        Way("Roger.", 0, 4),
        Way("Noted.", 0, 6),
        Way("Very well.", 0, 6),
        Way("Good.", 0, 4),
    ),
    "verb": (
        Way("Setting the {device} to {settings}.", 40, 3),
        Way("I've set the {device} to {settings}.", 16, 2),
        Way("The {device} {is_are} now set to {settings}.", 18, 2),
        Way("{Device} set to {settings}.", 12, 2),
        Way("I'll set the {device} to {settings}.", 6, 2),
        Way("Adjusting the {device} to {settings}.", 8, 2),
        Way("Putting the {device} on {settings}.", 0, 8),
        Way("The {device} will be on {settings}.", 0, 8),
        Way("{Device}: {settings}.", 0, 8),
        Way("Switching the {device} over to {settings}.", 0, 7),
        Way("Changed the {device} to {settings}.", 0, 7),
        Way("You now have the {device} on {settings}.", 0, 7),
        Way("I moved the {device} to {settings}.", 0, 6),
        Way("Consider the {device} on {settings}.", 0, 5),
    ),
    "join": (
        Way("with", 40, 4),
        Way("comma", 40, 5),
        Way("label", 20, 5),
        Way("dash", 0, 7),
        Way("plain", 0, 8),
        Way("and", 0, 8),
    ),
    "ask": (
        Way("What {wanted} would you like for the {device}?", 34, 2),
        Way("What {wanted} would you like me to set the {device} to?", 26, 2),
        Way("I can adjust the {device} for you. What {wanted} would you like?", 20, 2),
        Way("What settings would you like for the {device}? Please specify the {wanted}.", 10, 2),
        Way("How would you like the {device} set? You can choose the {wanted}.", 10, 2),
        Way("Tell me the {wanted} for the {device}.", 0, 8),
        Way("Which {wanted} shall I use for the {device}?", 0, 8),
        Way("Name the {wanted} and the {device} will follow.", 0, 7),
        Way("{Device}, with which {wanted}?", 0, 7),
        Way("I need the {wanted} for the {device} first.", 0, 7),
    ),
    "off": (
        Way("I've turned off the {device}.", 30, 3),
        Way("The {device} {has_have} been turned off.", 34, 3),
        Way("Turning off the {device} now.", 20, 3),
        Way("The {device} {is_are} now turned off.", 16, 3),
        Way("Switched the {device} off.", 0, 8),
        Way("The {device} goes quiet.", 0, 7),
        Way("{Device} off, as requested.", 2, 1),
        Way("{Device} off.", 0, 8),
        Way("Shutting the {device} down.", 0, 7),
    ),
    "follow_up": (
        Way("", 40, 8),
        Way("Is there anything else you'd like to adjust?", 20, 1),
        Way("Anything else you'd like to adjust?", 15, 1),
        Way("Anything else?", 12, 2),
        Way("Would you like me to adjust anything else?", 12, 1),
        Way("Let me know if you need anything else.", 10, 1),
        Way("What next?", 0, 8),
        Way("Shall I change something more?", 0, 8),
        Way("Say the word if you want more.", 0, 7),
        Way("Do you need another change?", 0, 7),
        Way("I am listening.", 0, 6),
        Way("Is that to your taste?", 0, 6),
    ),
    "flourish": (
        Way("", 30, 20),
        Way("Enjoy your {activity}.", 6, 1),
        Way("Perfect for your {activity}.", 4, 1),
        Way("That should make it more comfortable.", 4, 1),
        Way("It should feel just right for the {time}.", 4, 1),
        Way("That will brighten up your {activity}.", 2, 1),
        Way("Have fun with your {activity}.", 0, 5),
        Way("Good luck with the {activity}.", 0, 5),
        Way("The {time} can begin.", 0, 4),
        Way("Your {activity} will be easier now.", 0, 4),
        Way("Much better already.", 0, 5),
        Way("{comment}", 50, 0),
    ),
    "name": (Way("", 78, 70), Way("name", 22, 30)),
    "initiative": (Way("ask", 75, 50), Way("act", 25, 50)),
    "closing": (
        Way("You're welcome. Enjoy your {time}.", 34, 2),
        Way("You're welcome! Let me know if you need anything else.", 30, 2),
        Way("Understood. Have a good {time}.", 20, 2),
        Way("Glad I could help. Enjoy your {activity}.", 16, 2),
        Way("Any time.", 0, 8),
        Way("Good, I will be here.", 0, 8),
        Way("Then all is set for the {time}.", 0, 8),
        Way("My pleasure, good {time}.", 0, 8),
    ),
}

# The verbs of REPLY_SLOTS read badly with an alarm; these say the same of it, in the same order of weights.
ARM_VERBS = {
    "Setting": "Arming the security system",
    "I've set": "I've armed the security system",
    "The {device} {is_are}": "The security system is now armed",
    "{Device} set": "Security system armed",
    "I'll set": "I'll arm the security system",
    "Adjusting": "Arming the security system now",
    "Putting": "Putting the alarm on",
    "The {device} will": "The alarm will be on",
    "{Device}:": "Alarm on",
    "Switching": "Switching the alarm on",
    "Changed": "Armed the house",
    "You now": "You now have the alarm on",
    "I moved": "I switched the alarm on",
    "Consider": "Consider the house armed",
}

# What the worlds' assistants say of a change, a habit that no other household has.
COMMENTS = {
    "ac": "You will feel it soon.",
    "lights": "The room looks just right now.",
    "tv": "The screen is ready for you.",
    "speaker": "The sound suits the room.",
    "security": "Your home is protected.",
    "off": "It stays off until you want it back.",
}

DEVICE_NAMES = {
    "tv": "TV",
    "ac": "AC",
    "lights": "lights",
    "speaker": "speaker",
    "security": "security system",
}

PARAMETER_NAMES = {
    "temperature": "temperature",
    "mode": "mode",
    "fan_speed": "fan speed",
    "brightness": "brightness",
    "color": "color",
    "input_source": "input source",
    "volume": "volume",
    "equalizer": "equalizer",
    "alarm_volume": "alarm volume",
}

# How the character text words a manner; "*" stands for any way but none.
MANNERS = {
    ("initiative", "ask"): "likes to be asked before anything changes",
    ("initiative", "act"): "expects the home to know the usual settings",
    ("name", "name"): "enjoys being called by name",
    ("follow_up", ""): "dislikes questions after a change",
    ("follow_up", "*"): "likes to be asked what comes next",
    ("flourish", "*"): "appreciates a kind word",
    ("flourish", ""): "prefers plain answers",
}
