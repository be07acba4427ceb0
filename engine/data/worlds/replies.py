"""How an assistant of a synthetic world words its replies.

A reply is planned first (what it does) and phrased second (in whose manner), so that the same plan can be
phrased by the household's own assistant, by one that knows the persona, and by one that knows only the
population and what was said so far (population.py). The latter two are the oracles.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.data.worlds.households import Household, draw
from engine.data.worlds.words import ARM_VERBS, COMMENTS, DEVICE_NAMES, PARAMETER_NAMES

Chooser = Callable[[str], str]
_WITH_ARTICLE = (("lights", "color"), ("speaker", "equalizer"))
_ALARM = {
    "with": "with alarm volume {}",
    "comma": "at alarm volume {}",
    "label": "with the alarm volume at {}",
}


@dataclass(frozen=True, slots=True)
class Intent:
    """What a reply does: `settings` are (device, values) pairs; `text` is what no manner changes."""

    kind: Literal["set", "ask", "off", "close", "say"]
    settings: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    offer: tuple[str, str] | None = None
    text: str = ""
    time: str = "evening"
    room: str = ""


def own_manner(household: Household, rng: random.Random) -> Chooser:
    """Return the chooser of the household's real assistant: its manner, at times the population's."""

    spec, source = household.spec, household.source

    def choose(slot: str) -> str:
        if slot in household.manner and rng.random() < household.fidelity:
            return household.manner[slot]
        conformity = spec.of_slot(slot).conformity
        if conformity and rng.random() < conformity:
            return spec.most_common(slot, source)
        return draw(spec.ways_of(slot), rng, source)

    return choose


def known_manner(household: Household) -> Chooser:
    """Return the chooser of an assistant that knows the persona: her manner, else the most common one."""
    most_common = household.spec.most_common
    return lambda slot: household.manner.get(slot, most_common(slot, household.source))


def phrase_settings(device: str, values: Mapping[str, Any], join: str) -> str:
    """Return the values of one device in words, in one of six ways of joining them."""
    named = {key: value for key, value in values.items() if value is not None and key != "armed"}
    if device == "security":
        volume = named.get("alarm_volume")
        return "" if volume is None else _ALARM.get(join, "with volume {}").format(volume)
    if join == "label":
        told = {key: f"at {value}" if type(value) is int else value for key, value in named.items()}
        return _listed([f"{PARAMETER_NAMES[key]} {value}" for key, value in told.items()])
    if join in ("plain", "dash"):
        parts = [f"{PARAMETER_NAMES[key]} {value}" for key, value in named.items()]
        return (" - " if join == "dash" else ", ").join(parts)
    parts = [_worded(device, key, value) for key, value in named.items()]
    if join == "with" and len(parts) > 1:
        article = "a " if (device, list(named)[1]) in _WITH_ARTICLE else ""
        return f"{parts[0]} with {article}{_listed(parts[1:])}"
    return " and ".join(parts) if join == "and" else _listed(parts)


def _worded(device: str, key: str, value: Any) -> str:
    if key == "temperature":
        return f"{value} degrees"
    if key == "brightness" and device == "lights":
        return f"{value}% brightness"
    if key in ("mode", "color"):
        return f"{value} {key}"
    if key == "equalizer":
        return f"{value} equalizer"
    return str(value) if key == "input_source" else f"{PARAMETER_NAMES[key]} {value}"


def _listed(parts: list[str]) -> str:
    if len(parts) < 3:
        return " and ".join(parts)
    return f"{', '.join(parts[:-1])}, and {parts[-1]}"


def phrase(plan: Intent, choose: Chooser, household: Household) -> str:
    """Return the reply's text: `plan` in the manner that `choose` gives slot by slot."""
    names = {"activity": household.hobby[0], "time": plan.time, "comment": _comment(plan)}
    if plan.kind == "close":
        return choose("closing").format(**names)
    if plan.kind == "say":
        return _join(plan.text, choose("follow_up"))
    if plan.kind == "ask":
        device, values = plan.settings[0]
        opener = _with_name(choose("opener_ask"), choose("name"), household.name)
        wanted = _listed([PARAMETER_NAMES[key] for key in values if key != "armed"])
        return _open(opener, choose("ask").format(wanted=wanted, **_device_words(device, plan.room)))
    opener = _with_name(choose("opener_set"), choose("name"), household.name)
    if plan.kind == "off":
        body = choose("off").format(**_device_words(plan.settings[0][0], plan.room))
    else:
        body = _phrase_set(plan, choose)
    if plan.offer is not None:
        device, key = plan.offer
        return _join(_open(opener, body), f"Would you like me to adjust the {PARAMETER_NAMES[key]} as well?")
    return _join(_open(opener, body), choose("flourish").format(**names), choose("follow_up"))


def _comment(plan: Intent) -> str:
    return COMMENTS["off" if plan.kind == "off" else plan.settings[0][0]] if plan.settings else ""


def _phrase_set(plan: Intent, choose: Chooser) -> str:
    verb, join = choose("verb"), choose("join")
    (device, values), *rest = plan.settings
    if device == "security":
        arm = next(words for start, words in ARM_VERBS.items() if verb.startswith(start))
        return f"{arm} {phrase_settings(device, values, join)}".strip() + "."
    more = "".join(
        f" and the {DEVICE_NAMES[other]} to {phrase_settings(other, its_values, join)}"
        for other, its_values in rest
    )
    return verb.format(
        settings=phrase_settings(device, values, join) + more, **_device_words(device, plan.room)
    )


def _device_words(device: str, room: str) -> dict[str, str]:
    plural = device == "lights"
    name = f"{room} lights" if room and plural else DEVICE_NAMES[device]
    return {
        "device": name,
        "Device": name[0].upper() + name[1:],
        "is_are": "are" if plural else "is",
        "has_have": "have" if plural else "has",
    }


def _with_name(opener: str, name_slot: str, name: str) -> str:
    if not name_slot or not opener:
        return opener
    return f"{opener[:-1]}, {name}{opener[-1]}" if opener[-1] in ".!" else f"{opener} {name},"


def _open(opener: str, body: str) -> str:
    if opener.endswith(",") and not body.startswith(("TV", "AC", "I ", "I'")):
        body = body[0].lower() + body[1:]
    return f"{opener} {body}".strip()


def _join(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
