"""The words the action grammar knows. Owns the versioned lists; parses nothing.

Every phrase stands for one symbol, a pair (kind, value). The longest phrase wins, so "apple tv" is an input
source and "color temperature" is a color. A change to any list changes what replies score:
raise LEXICON_VERSION with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

LEXICON_VERSION = 1


def _split(phrases: str) -> list[str]:
    return [phrase.strip() for phrase in phrases.split(",")]


DEVICES = ("tv", "ac", "lights", "speaker", "security")

# Which devices take a parameter; the first is meant when a value is given and nothing says which.
OWNERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "volume": ("speaker", "tv", "security"),
        "brightness": ("lights", "tv"),
        "input_source": ("tv",),
        "temperature": ("ac",),
        "mode": ("ac", "lights"),
        "fan_speed": ("ac",),
        "color": ("lights",),
        "equalizer": ("speaker",),
        "alarm_volume": ("security",),
    }
)
NUMERIC = frozenset({"volume", "brightness", "temperature", "fan_speed", "alarm_volume"})

# What a bare number means on a device ("lights to 50").
MAIN_PARAMETER: Mapping[str, str] = MappingProxyType(
    {
        "lights": "brightness",
        "tv": "volume",
        "speaker": "volume",
        "security": "alarm_volume",
        "ac": "temperature",
    }
)

_DEVICE_WORDS = {
    "tv": "tv, tvs, television, televisions, television set, telly, tv set, tv screen, smart tv",
    "ac": "ac, acs, a/c, air conditioner, air conditioners, air conditioning, air con, aircon, hvac, "
    "thermostat, climate, climate control, heater, heating system, cooling system, central heating, "
    "heating and cooling",
    "lights": "light, lights, lamp, lamps, lighting, light fixture, light fixtures, light bulb, light bulbs, "
    "bulb, bulbs, lightbulb, lightbulbs, chandelier, leds, led lights, led strip, night light, nightlight",
    "speaker": "speaker, speakers, music, playlist, playlists, stereo, audio, audio system, sound system, "
    "soundbar, sound bar, tunes, smart speaker, music system",
    "security": "security, security system, alarm, alarms, alarm system, security alarm, home security, "
    "home security system, burglar alarm, intruder alarm, security alarm system",
}

# Devices outside the five. They cost precision; their own spelling is canonical.
_OUTSIDE_WORDS = {
    "air purifier": "air purifier, air purifiers, purifier, air cleaner",
    "alarm clock": "alarm clock, alarm clocks, wake up alarm, morning alarm",
    "bathtub": "hot tub, jacuzzi, sauna",
    "blender": "blender",
    "blinds": "blind, blinds, window blinds, roller blinds, venetian blinds",
    "camera": "camera, cameras, security camera, security cameras",
    "coffee maker": "coffee maker, coffee machine, coffeemaker, espresso machine, coffee pot",
    "curtains": "curtain, curtains, drapes, drape",
    "dehumidifier": "dehumidifier",
    "diffuser": "diffuser, oil diffuser, aroma diffuser",
    "dishwasher": "dishwasher",
    "door": "door, doors, front door, back door, door lock, door locks, smart lock, smart locks, locks",
    "doorbell": "doorbell, doorbells",
    "dryer": "dryer, clothes dryer, tumble dryer",
    "electric blanket": "electric blanket, heated blanket",
    "fan": "ceiling fan, ceiling fans, desk fan, standing fan, exhaust fan, extractor fan, box fan, fans",
    "fireplace": "fireplace",
    "freezer": "freezer",
    "fridge": "fridge, refrigerator",
    "garage door": "garage door, garage doors",
    "humidifier": "humidifier, humidifiers",
    "kettle": "kettle, electric kettle",
    "microwave": "microwave, microwave oven",
    "oven": "oven, ovens",
    "projector": "projector, projectors",
    "radiator": "radiator, radiators, space heater",
    "radio": "radio",
    "rice cooker": "rice cooker, slow cooker, pressure cooker, air fryer",
    "sensor": "motion sensor, motion sensors, smoke detector, smoke detectors",
    "shades": "shades, window shades, shutters, window shutters",
    "sprinkler": "sprinkler, sprinklers, irrigation, irrigation system",
    "stove": "stove, cooktop, hob",
    "toaster": "toaster",
    "vacuum": "vacuum, vacuum cleaner, robot vacuum, roomba",
    "washing machine": "washing machine, washer",
    "water heater": "water heater, boiler",
}
OUTSIDE_DEVICES = frozenset(_OUTSIDE_WORDS)

_PARAMETER_WORDS = {
    "volume": "volume, volume level, sound level, loudness, volumes",
    "brightness": "brightness, brightness level, light level, dim, dims, dimmed, dimming, brighten, "
    "brightens, "
    "brightening, brightened, luminosity",
    "input_source": "input source, input, inputs, input sources, source input",
    "temperature": "temperature, temperatures, temp, temperature setting, target temperature",
    "mode": "mode, modes",
    "fan_speed": "fan speed, fan speeds, fan level, fan setting, fanspeed, fan strength",
    "color": "color, colour, colors, colours, tone, tones, hue, glow, tint, color temperature, "
    "colour temperature, color tone",
    "equalizer": "equalizer, equaliser, eq, equalizer setting, equalizer mode, sound profile, sound mode, "
    "equalizer preset, equalizer profile",
    "alarm_volume": "alarm volume, alarm level, siren volume, alarm volume level, security volume, "
    "security alarm volume, alarm sound level",
}
# Words that hang on a value ("a warm glow") but name no device on their own, value or none.
QUIET_PARAMETER_WORDS = frozenset(
    {"tone", "tones", "hue", "glow", "tint", "input", "inputs", "color", "colour", "colors", "colours"}
)

# Values that speak for themselves wherever they stand.
_STRONG_VALUES = {
    ("equalizer", "bass boost"): "bass boost, bass boosted, boosted bass, bass booster, boosting the bass",
    ("equalizer", "treble boost"): "treble boost, treble boosted, boosted treble, boosting the treble",
    ("input_source", "netflix"): "netflix",
    ("input_source", "youtube"): "youtube, you tube",
    ("input_source", "hbo"): "hbo, hbo max",
    ("input_source", "hulu"): "hulu",
    ("input_source", "disney+"): "disney+, disney plus",
    ("input_source", "prime video"): "prime video, amazon prime, amazon prime video",
    ("input_source", "apple tv"): "apple tv, apple tv+",
    ("input_source", "live tv"): "live tv, cable tv",
    **{("input_source", f"hdmi {n}"): f"hdmi {n}" for n in range(1, 7)},
    ("input_source", "hdmi"): "hdmi",
    ("mode", "fan"): "fan mode, fan only, fan only mode",
}
# Values that need a parameter, a device and a binding word, or a list of values beside them.
_WEAK_VALUES = {
    ("mode", "heat"): "heat, heating",
    ("mode|color", "cool"): "cool, cooling, cooler",
    ("mode", "auto"): "auto, automatic",
    ("mode", "dry"): "dry, drying",
    ("mode", "static"): "static, steady",
    ("mode", "dynamic"): "dynamic",
    ("color", "warm"): "warm, warmer, warm white",
    ("color", "cool"): "cool white",
    ("color", "neutral"): "neutral, neutral white",
    ("equalizer", "balanced"): "balanced, flat",
    ("input_source", "cable"): "cable",
    ("input_source", "bluetooth"): "bluetooth",
    ("input_source", "usb"): "usb",
    ("input_source", "antenna"): "antenna",
    ("input_source", "playstation"): "playstation",
    ("input_source", "xbox"): "xbox",
    ("input_source", "roku"): "roku",
    ("input_source", "chromecast"): "chromecast",
}
_COLOR_NAMES = _split(
    "red, orange, yellow, green, blue, purple, pink, white, amber, gold, golden, violet, lavender, teal, "
    "turquoise, cyan, magenta, indigo, peach, crimson, daylight"
)
# Values that count only beside the word "equalizer" (or "eq").
_PRESETS = _split(
    "rock, pop, jazz, classical, vocal, dance, acoustic, electronic, bass, treble, normal, custom"
)

# Who takes a value when the parameter alone does not say it.
MODE_OWNER: Mapping[str, str] = MappingProxyType(
    {
        "heat": "ac",
        "cool": "ac",
        "auto": "ac",
        "dry": "ac",
        "fan": "ac",
        "static": "lights",
        "dynamic": "lights",
    }
)

_LEVELS: dict[str, float | str] = {
    "low": "low", "medium": "medium", "high": "high", "lowest": "low", "highest": "high", "full": 100.0,
    "max": 100.0, "maximum": 100.0, "half": 50.0,
}  # fmt: skip

# What the other words do in a sentence. "word" names phrases that only look like one of the above.
_ROLES = {
    "turn": "turn, turns, turned, turning, switch, switches, switched, switching, power, powers, powered, "
    "powering, shut, shuts, shutting, flip, flipped, flipping",
    "keep": "leave, leaves, leaving, left, keep, keeps, keeping, kept",
    "stay": "stay, stays, staying, remain, remains, remaining",
    "same": "alone, unchanged, untouched, unaffected, as is, as it is, as they are, as it was, as they were, "
    "the same, as before, where it is, where they are",
    "verb": "set, sets, setting, adjust, adjusts, adjusted, adjusting, change, changes, changed, "
    "changing, make, "
    "makes, making, made, put, puts, putting, bring, brings, bringing, brought, raise, raises, raised, "
    "raising, "
    "increase, increases, increased, increasing, lock, unlock, open, opening, opened, close, closing, "
    "closed, "
    "start, starting, started, stop, stopping, stopped, play, playing, move, moving, moved, update, updated, "
    "updating, configure, configured, configuring, tune, tuning, give, giving, touch, touching",
    "down": "lower, lowers, lowered, lowering, decrease, decreases, decreased, decreasing, reduce, reduces, "
    "reduced, reducing, drop, drops, dropped, dropping",
    "aux": "is, are, was, were, be, been, being, has, have, had, will, get, gets, got, goes, going, go, "
    "that's",
    "subject": "i, i'll, i've, i'm, i'd, we, we'll, we've, you, you'll, you've",
    "adverb": "now, still, already, also, all, both, just, currently, successfully, back, up, too, fully, "
    "simply, exactly, "
    "about, around, roughly, approximately, level, levels, please, once, more",
    "det": "the, a, an, your, my, our, this, that, these, those, any, some, every, each, its, their, "
    "his, her",
    "pronoun": "it, them, they, it's, they're, it'll, they'll, they've",
    "bind": "to, at, of, as",
    "prep": "for, from, via, through, using, inside, within, over, by, until, till, after, before, during",
    "in": "in",
    "particle": "down",
    "with": "with",
    "and": "and, or, plus, nor, as well as, and then, then, along with, together with",
    "break": "but, while, so, because, since, which, though, although, however, when, where, who, "
    "whenever, unless",
    "neg": "not, without, never, cannot, neither, won't, don't, didn't, can't, isn't, aren't, haven't, "
    "hasn't, "
    "wouldn't, couldn't, shouldn't, wasn't, weren't, doesn't, hadn't, no need, no changes, no change, "
    "instead of, rather than, except, except for, apart from, other than, aside from, no longer",
    "word": "not only, not just, don't worry, don't hesitate, can't wait, why not, if not, don't forget, "
    "light music, light breeze, light rain, light snow, light reading, light snack, light meal, "
    "light jacket, "
    "light blanket, light jazz, light up, lights up, light blue, light dinner, light lunch, light breakfast, "
    "music room, tv show, tv shows, tv series, beat the heat, climate change, music video, next door",
    "room": "room, rooms, living room, bedroom, bedrooms, kitchen, bathroom, garage, office, study, hallway, "
    "hall, porch, patio, backyard, garden, basement, attic, dining room, nursery, balcony, entryway, "
    "workshop, "
    "studio, den, lounge, guest room, home office, main, bedside, desk, floor, ceiling, overhead, reading, "
    "ambient, home, whole, entire, house, table, kids, family room, front, upstairs, downstairs, "
    "corner, accent",
    "time": "am, pm, a.m, p.m, a.m., p.m., o'clock, minute, minutes, min, mins, hour, hours, second, "
    "seconds, days, day, "
    "weeks, week, months, years, times, tonight, tomorrow, people, songs, episodes, chance, humidity, "
    "things, steps, options, dollars, miles, pages",
    "outside": "outside, outdoors, outdoor, out there, forecast, weather",
    "percent": "%, percent, per cent, pct",
    "degrees": "°, ℃, ℉, degrees, degree, celsius, fahrenheit, degrees celsius, degrees fahrenheit, "
    "° c, ° f, "
    "degree celsius, degrees c, degrees f, °celsius",
    "offer": "let me know, feel free, just say, just tell me, just ask, if you, if you'd, if you'll, "
    "if you want, "
    "please specify, please choose, please let, please tell, please provide, tell me, please confirm, "
    "you can choose, you could choose, anything else, anything more, is there anything, would you, do you, "
    "shall i, shall we, should i, what would, how would, how about, what about, want me",
}
_POWER = {
    "on": "activate, activates, activated, activating, enable, enables, enabled, enabling",
    "off": "deactivate, deactivates, deactivated, deactivating, disable, disables, disabled, disabling, "
    "shut down, shuts down, shutting down, power down, powering down, powered down",
}
_ARM = {
    True: "arm, arms, armed, arming, rearm, rearming, rearmed",
    False: "disarm, disarms, disarmed, disarming, unarmed",
}
# Words that open a question when they stand first in a clause of a sentence that ends in "?".
QUESTION_OPENERS = frozenset(
    _split(
        "would, do, does, did, should, shall, could, can, may, will, is, are, was, has, have, what, "
        "which, how, "
        "when, where, who, any, anything, want, need, okay, ok, right, alright, correct"
    )
)
_ONES = _split(
    "zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, "
    "fifteen, sixteen, seventeen, eighteen, nineteen"
)
_TENS = _split("twenty, thirty, forty, fifty, sixty, seventy, eighty, ninety")
NUMBER_WORDS: Mapping[str, int] = MappingProxyType(
    {word: n for n, word in enumerate(_ONES)} | {word: 10 * n for n, word in enumerate(_TENS, start=2)}
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A word that may be the value of one of `parameters`.

    "strong" readings hold wherever they stand, "weak" ones need a parameter or a bound device beside them,
    a "preset" needs its parameter.
    """

    parameters: tuple[str, ...]
    value: str
    strength: Literal["strong", "weak", "preset"]


Meaning = tuple[str, Any]


def _entries() -> Iterator[tuple[str, Meaning]]:
    for kind, phrases in _ROLES.items():
        yield from ((phrase, (kind, None)) for phrase in _split(phrases))
    for kind, table in (("device", _DEVICE_WORDS | _OUTSIDE_WORDS), ("param", _PARAMETER_WORDS)):
        for name, phrases in table.items():
            yield from ((phrase, (kind, name)) for phrase in _split(phrases))
    for (parameters, value), phrases in (_STRONG_VALUES | _WEAK_VALUES).items():
        strength: Literal["strong", "weak"] = "strong" if (parameters, value) in _STRONG_VALUES else "weak"
        reading = Reading(tuple(parameters.split("|")), value, strength)
        yield from ((phrase, ("value", reading)) for phrase in _split(phrases))
    yield from ((name, ("value", Reading(("color",), name, "weak"))) for name in _COLOR_NAMES)
    yield from ((name, ("value", Reading(("equalizer",), name, "preset"))) for name in _PRESETS)
    yield from ((word, ("level", level)) for word, level in _LEVELS.items())
    for state, phrases in _POWER.items():
        yield from ((phrase, ("power", state)) for phrase in _split(phrases))
    for armed, phrases in _ARM.items():
        yield from ((phrase, ("arm", armed)) for phrase in _split(phrases))
    yield from (("on", ("on", None)), ("off", ("off", None)), ("fan", ("fan", None)))


def _build() -> tuple[dict[str, Meaning], dict[str, tuple[tuple[tuple[str, ...], Meaning], ...]]]:
    words: dict[str, Meaning] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], Meaning]]] = {}
    for phrase, meaning in _entries():
        parts = tuple(phrase.split())
        if len(parts) == 1:
            if phrase in words:
                raise ValueError(f"{phrase!r} has two meanings: {words[phrase]} and {meaning}")
            words[phrase] = meaning
        else:
            phrases.setdefault(parts[0], []).append((parts, meaning))
    longest_first = {
        first: tuple(sorted(options, key=lambda option: -len(option[0])))
        for first, options in phrases.items()
    }
    return words, longest_first


# WORDS: one word -> its meaning. PHRASES: first word -> (all words, meaning), longest first.
WORDS, PHRASES = _build()
