"""The words of the synthetic worlds: people.yaml is who they are and what they ask, phrases.yaml replies.

Owns the reading of the two lists. Each way of phrasing a reply has two weights: how common it is among the
personas of a world, and how common it is in the other households the embedded base is built from. The base
therefore knows nearly every phrase but expects other ones: that is what a unified adapter has to learn.
"""

from typing import NamedTuple

from engine.domains.wordlists import read_words

Words = tuple[str, ...]


class Way(NamedTuple):
    """One way of phrasing a slot of a reply. Weights are relative within the slot."""

    text: str
    world: float
    elsewhere: float


_people, _phrases = read_words(__file__, "people.yaml"), read_words(__file__, "phrases.yaml")

FIRST_NAMES: Words = tuple(_people["first_names"].split())
HOBBIES: tuple[tuple[str, str, str], ...] = _people["hobbies"]
"""(noun phrase for "Enjoy your ...", what the user says she is doing, profession-like description)"""
USER_TONES: dict[str, dict[str, Words]] = _people["user_tones"]
TONE_WORDS: dict[str, Words] = _people["tone_words"]
WEATHER_REMARKS: dict[str, Words] = _people["weather_remarks"]
NEEDS: dict[str, Words] = _people["needs"]
OFF_REQUESTS: Words = _people["off_requests"]
LINKS: Words = _people["links"]
ROOMS: Words = _people["rooms"]
REASONS: Words = _people["reasons"]
ASK_STATE: Words = _people["ask_state"]
TELL_STATE: str = _people["tell_state"]
OTHER_REQUESTS: tuple[tuple[str, str], ...] = _people["other_requests"]

REPLY_SLOTS: dict[str, tuple[Way, ...]] = {
    slot: tuple(Way(*way) for way in ways) for slot, ways in _phrases["reply_slots"].items()
}
ARM_VERBS: dict[str, str] = _phrases["arm_verbs"]
"""The verbs of REPLY_SLOTS read badly with an alarm; these say the same of it, in the order of weights."""
COMMENTS: dict[str, str] = _phrases["comments"]
"""What the worlds' assistants say of a change, a habit that no other household has."""
DEVICE_NAMES: dict[str, str] = _phrases["device_names"]
PARAMETER_NAMES: dict[str, str] = _phrases["parameter_names"]
MANNERS: dict[tuple[str, str], str] = {
    (slot, way): words for key, words in _phrases["manners"].items() for slot, _, way in [key.partition("|")]
}
"""(slot, way) -> how the character text words a manner; "*" stands for any way but none."""
