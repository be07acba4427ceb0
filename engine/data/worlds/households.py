"""Who lives in a synthetic world: each household's manner, settings and routines, drawn from a seed.

Owns the truth of a world. Writes no text beyond the character description; dialogues.py does that.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.data.worlds.words import FIRST_NAMES, HOBBIES, MANNERS, REPLY_SLOTS, TONE_WORDS, USER_TONES, Way
from engine.domains.wordlists import read_words

Source = Literal["world", "elsewhere"]
Settings = dict[str, dict[str, Any]]

_lists = read_words(__file__, "households.yaml")

_SUN_PHASES = {
    "morning": "after_sunrise", "afternoon": "daylight", "evening": "after_sunset", "night": "night",
}  # fmt: skip
TIMES = tuple(_SUN_PHASES)
WEATHER_TEMPERATURE: dict[str, tuple[int, int]] = _lists["weather_temperature"]
POPULATION_SETTINGS: Settings = _lists["population_settings"]
INPUT_SOURCES = ("Netflix", "YouTube", "HDMI1", "HDMI2", "Disney+", "Prime Video")
EQUALIZERS = ("balanced", "bass boost", "treble boost")
COLORS = ("warm", "cool", "neutral")


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """What differs between the personas of a world.

    `own` and `archetype` are the chances that a slot of a persona's manner is her own or her archetype's
    (the rest follows the population); `fidelity` is how often a reply keeps to the manner, `conformity` how
    often it otherwise uses the most common way of all. `own_settings` is the chance that the values she
    wants for a device are her own. `flat` draws own manners evenly instead of by how common they are, so that
    no shared habit is left to learn. `slots` are those that a manner may hold, all where it is empty.
    `known_from` is the share of her dialogues, the first ones, in which the assistant does not know her yet
    and follows the population. `ways` leaves a slot that a manner may hold so many ways only, which each type
    has apart while there are enough and the population has no habit between: those most common here that
    households elsewhere use too, as a frozen base says no other. The character text then tells all of it.
    """

    name: str
    question: str
    own: float
    archetype: float
    fidelity: float
    own_settings: float
    conformity: float = 0.0
    flat: bool = False
    archetypes: int = 5
    slots: tuple[str, ...] = ()
    known_from: float = 0.0
    ways: int = 0

    def of_slot(self, slot: str) -> "WorldSpec":
        """Return what holds of one slot: where a manner cannot hold it, it is the population's."""
        if self.slots and slot not in self.slots:
            return replace(self, own=0.0, archetype=0.0, ways=0)
        return replace(self, conformity=0.0) if self.ways else self

    def ways_of(self, slot: str) -> tuple[Way, ...]:
        """Return the ways of a slot in this world; where they are few, each is as common as another."""
        few, ways = self.of_slot(slot).ways, REPLY_SLOTS[slot]
        if not few:
            return ways
        known = sorted((way for way in ways if way.elsewhere), key=lambda way: -way.world)
        return tuple(way._replace(world=1.0) for way in known[:few])

    def most_common(self, slot: str, source: Source) -> str:
        """Return the text that an assistant which knows only the population would choose for a slot."""
        return max(self.ways_of(slot), key=lambda way: getattr(way, source)).text


WORLDS: dict[str, WorldSpec] = {row["name"]: WorldSpec(**row) for row in _lists["worlds"]}


@dataclass(frozen=True, slots=True)
class Household:
    """One persona's truth. `manner` maps a slot to the way it keeps to (absent: the population's); `spec` and
    `seed` are of the world it was drawn in."""

    index: int
    name: str
    hobby: tuple[str, str, str]
    tone: str
    archetype: int
    manner: Mapping[str, str]
    fidelity: float
    source: Source
    settings: Settings
    routines: tuple[dict[str, Any], ...]
    character: str
    spec: WorldSpec
    seed: int


def draw(ways: tuple[Way, ...], rng: random.Random, source: Source, *, flat: bool = False) -> str:
    """Return the text of one way, by its weight in `source` (evenly among the possible ones if `flat`)."""
    weights = [getattr(way, source) for way in ways]
    if flat:
        weights = [1.0 if weight else 0.0 for weight in weights]
    return rng.choices(ways, weights)[0].text


def draw_settings(rng: random.Random) -> Settings:
    """Return one set of habitual values for every device and need."""
    return {
        "ac/heat": {"temperature": rng.randint(20, 26), "mode": "heat", "fan_speed": rng.randint(1, 3)},
        "ac/cool": {"temperature": rng.randint(18, 25), "mode": "cool", "fan_speed": rng.randint(1, 3)},
        "ac/auto": {"temperature": rng.randint(20, 24), "mode": "auto", "fan_speed": rng.randint(1, 3)},
        "lights/dim": _lights(rng.randint(4, 12), rng),
        "lights/bright": _lights(rng.randint(13, 20), rng),
        "tv/on": {
            "input_source": rng.choice(INPUT_SOURCES),
            "volume": 5 * rng.randint(3, 12),
            "brightness": 5 * rng.randint(8, 18),
        },
        "speaker/on": {"volume": 5 * rng.randint(3, 15), "equalizer": rng.choice(EQUALIZERS)},
        "security/on": {"armed": True, "alarm_volume": 5 * rng.randint(6, 20)},
    }


def _lights(twentieths: int, rng: random.Random) -> dict[str, Any]:
    color, mode = rng.choice(COLORS), rng.choice(("static", "dynamic"))
    return {"brightness": 5 * twentieths, "color": color, "mode": mode}


def mix_settings(own: Settings, shared: Settings, share_own: float, rng: random.Random) -> Settings:
    """Return `own` values with chance `share_own` for each need, the `shared` ones otherwise."""
    return {need: dict(own[need] if rng.random() < share_own else shared[need]) for need in own}


def draw_routines(settings: Settings, rng: random.Random) -> tuple[dict[str, Any], ...]:
    """Return 3 or 4 routines in EdgeWisePersona's form: triggers -> actions (None: device untouched)."""
    routines = []
    for time in rng.sample(TIMES, rng.randint(3, 4)):
        weather = rng.choice(tuple(WEATHER_TEMPERATURE))
        temperature = rng.randint(*WEATHER_TEMPERATURE[weather])
        needs = [need for need in (_climate_need(temperature), _light_need(time, rng)) if rng.random() < 0.85]
        needs += [need for need in ("tv/on", "speaker/on") if rng.random() < 0.5]
        needs += ["security/on"] if rng.random() < (0.5 if time == "night" else 0.15) else []
        actions: dict[str, Any] = dict.fromkeys(("tv", "ac", "lights", "speaker", "security"))
        for need in needs or ["lights/dim"]:
            actions[need.split("/")[0]] = dict(settings[need])
        routines.append({"triggers": circumstances(time, weather, temperature, rng), "actions": actions})
    return tuple(routines)


def need_of(device: str, values: Mapping[str, Any]) -> str:
    """Return the need ("ac/heat", "lights/dim", ...) that `values` of a device answer."""
    if device == "ac":
        return f"ac/{values['mode']}"
    if device == "lights":
        return "lights/dim" if values["brightness"] <= 60 else "lights/bright"
    return f"{device}/on"


def _climate_need(celsius: int) -> str:
    return "ac/heat" if celsius < 12 else "ac/auto" if celsius < 21 else "ac/cool"


def _light_need(time: str, rng: random.Random) -> str:
    usual, other = ("bright", "dim") if time in ("morning", "afternoon") else ("dim", "bright")
    return f"lights/{rng.choice((usual, usual, other))}"


def circumstances(time: str, weather: str, celsius: int, rng: random.Random) -> dict[str, Any]:
    """Return the facts of a dialogue in EdgeWisePersona's words; the day is drawn."""
    return {
        "time_of_day": time,
        "day_of_week": rng.choice(("weekday", "weekend")),
        "sun_phase": _SUN_PHASES[time],
        "weather": weather,
        "outdoor_temp": "cold"
        if celsius < 8
        else "mild"
        if celsius < 18
        else "warm"
        if celsius < 27
        else "hot",
    }


def draw_manner(
    spec: WorldSpec, archetype: Mapping[str, str], rng: random.Random, source: Source
) -> dict[str, str]:
    """Return the slots of a persona's manner; a slot left out follows the population."""
    manner = {}
    for slot in REPLY_SLOTS:
        chance, of_it, ways = rng.random(), spec.of_slot(slot), spec.ways_of(slot)
        if chance < of_it.archetype:
            manner[slot] = archetype[slot]
        elif chance < of_it.archetype + of_it.own:
            manner[slot] = draw(ways, rng, source, flat=spec.flat)
    return manner


def draw_manner_of_type(
    spec: WorldSpec, *, seed: int, kind: int, source: Source
) -> tuple[dict[str, str], random.Random]:
    """Return the manner of a type of household, and the generator that the rest of the type is drawn from."""
    rng = random.Random(f"{source}/{spec.name}/{seed}/archetype/{kind}")
    manner = {slot: draw(ways, rng, source, flat=True) for slot, ways in REPLY_SLOTS.items()}
    for slot in manner if spec.ways else ():
        if spec.of_slot(slot).ways:
            ways = list(spec.ways_of(slot))
            random.Random(f"{source}/{spec.name}/{seed}/{slot}").shuffle(ways)
            manner[slot] = ways[kind % len(ways)].text
    return manner, rng


def describe(
    name: str,
    hobby: tuple[str, str, str],
    tone: str,
    manner: Mapping[str, str],
    rng: random.Random,
    *,
    most: int | None = 2,
) -> str:
    """Return the character text: who she is, how she talks and, where the manner shows it, at `most` so many
    things that she likes (None: all)."""
    likes = []
    for slot in ("initiative", "name", "follow_up", "flourish"):
        if slot in manner:
            phrase = MANNERS.get((slot, manner[slot])) or (MANNERS.get((slot, "*")) if manner[slot] else None)
            likes += [phrase] if phrase else []
    first = f"{name} is a {rng.choice(TONE_WORDS[tone])} {hobby[2]} who loves {hobby[0]}."
    told = rng.sample(likes, len(likes) if most is None else min(most, len(likes)))
    return f"{first} {name} {' and '.join(told)}." if likes else first


def before_known(household: Household) -> Household:
    """Return a household as its assistant takes it before it knows her: as any of the population."""
    spec = replace(household.spec, own=0.0, archetype=0.0)
    return replace(household, manner={}, fidelity=0.0, spec=spec)


def draw_household(spec: WorldSpec, *, seed: int, index: int, source: Source = "world") -> Household:
    """Return household `index` of a world; the same arguments always give the same household."""
    rng = random.Random(f"{source}/{spec.name}/{seed}/household/{index}")
    kind = rng.randrange(spec.archetypes)
    type_manner, type_rng = draw_manner_of_type(spec, seed=seed, kind=kind, source=source)
    type_tone, type_settings = list(USER_TONES)[kind % len(USER_TONES)], draw_settings(type_rng)
    type_hobbies = type_rng.sample(HOBBIES, 8)

    manner = draw_manner(spec, type_manner, rng, source)
    follows_type = rng.random() < spec.archetype
    tone = type_tone if follows_type else rng.choice(tuple(USER_TONES))
    hobby = rng.choice(type_hobbies) if follows_type else rng.choice(HOBBIES)
    name = rng.choice(FIRST_NAMES)
    settings = mix_settings(
        type_settings if follows_type else draw_settings(rng),
        POPULATION_SETTINGS,
        1.0 if follows_type else spec.own_settings,
        rng,
    )
    return Household(
        index=index,
        name=name,
        hobby=hobby,
        tone=tone,
        archetype=kind,
        manner=manner,
        fidelity=spec.fidelity,
        source=source,
        settings=settings,
        routines=draw_routines(settings, rng),
        character=describe(name, hobby, tone, manner, rng, most=None if spec.ways else 2),
        spec=spec,
        seed=seed,
    )
