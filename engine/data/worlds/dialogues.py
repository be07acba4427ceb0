"""Writes the dialogues of a household: requests, replies, and the replies of the two oracles.

Owns the order of a session: mostly one of the household's routines, device by device, mixed with
spontaneous requests. Every assistant turn also gets the replies of the two oracles: one that knows the
persona, and one that knows the population and the replies so far.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.data.worlds.households import (
    TIMES,
    WEATHER_TEMPERATURE,
    Household,
    circumstances,
    draw_settings,
    need_of,
)
from engine.data.worlds.population import SoFar
from engine.data.worlds.replies import Chooser, Intent, known_manner, own_manner, phrase, phrase_settings
from engine.data.worlds.words import (
    ASK_STATE,
    DEVICE_NAMES,
    LINKS,
    NEEDS,
    OFF_REQUESTS,
    OTHER_REQUESTS,
    PARAMETER_NAMES,
    REASONS,
    ROOMS,
    TELL_STATE,
    USER_TONES,
    WEATHER_REMARKS,
)

SPONTANEOUS = 0.25
OFF_SHARE = 0.22


@dataclass(frozen=True, slots=True)
class Turn:
    """One assistant turn with the replies of the two oracles."""

    user: str
    reply: str
    knows_persona: str
    knows_population: str


@dataclass(frozen=True, slots=True)
class Session:
    """One dialogue: its context and its turns."""

    meta: Mapping[str, Any]
    turns: tuple[Turn, ...]


@dataclass
class _Scene:
    """A session being written."""

    household: Household
    rng: random.Random
    meta: dict[str, Any]
    turns: list[Turn] = field(default_factory=list)
    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    so_far: SoFar = field(init=False)

    def __post_init__(self) -> None:
        self.so_far = SoFar(self.household)

    @property
    def manner(self) -> Chooser:
        """The household's own manner; what it chooses is noted."""
        return self.so_far.hearing(own_manner(self.household, self.rng))

    @property
    def tone(self) -> dict[str, tuple[str, ...]]:
        return USER_TONES[self.household.tone]

    def words(self, text: str, *, device: str = "", room: str = "") -> str:
        """Return a request in the user's tone; the openers that are no questions end it with a full stop."""
        can = self.rng.choice(self.tone["can"])
        asks = can.startswith(("Can", "Could", "Would", "Mind", "Maybe", "I wonder"))
        shown = f"{room} lights" if room else device
        request = text.format(
            can=can,
            can_lower=_lower_start(can),
            doing=self.household.hobby[1],
            time=self.meta["time_of_day"],
            device=shown,
        )
        request = request.replace("the lights", f"the {room} lights") if room else request
        return request if asks or "{can" not in text else request.replace("?", ".")

    def reason(self) -> str:
        if self.rng.random() > 0.6:
            return ""
        return self.rng.choice(REASONS).format(
            activity=self.household.hobby[0], time=self.meta["time_of_day"]
        )

    def say(
        self,
        user: str,
        plan: Intent,
        *,
        knows_persona: Intent | None = None,
        knows_population: Intent | None = None,
    ) -> None:
        household = self.household
        if not self.turns:
            user = self.opening(user)
        self.turns.append(
            Turn(
                user=_tidy(user),
                knows_population=phrase(knows_population or plan, self.so_far.expected(), household),
                knows_persona=phrase(knows_persona or plan, known_manner(household), household),
                reply=phrase(plan, self.manner, household),
            )
        )

    def opening(self, request: str) -> str:
        greeting = self.rng.choice(self.tone["greeting"]).format(time=self.meta["time_of_day"])
        remark = (
            self.rng.choice(WEATHER_REMARKS[self.meta["weather"]]).format(time=self.meta["time_of_day"])
            if self.rng.random() < 0.55
            else ""
        )
        doing = f"I'm {self.household.hobby[1]}." if self.rng.random() < 0.4 else ""
        rest = " ".join(part for part in (remark, doing, request) if part)
        return f"{greeting} {_lower_start(rest) if greeting.endswith(',') else rest}"

    def link(self, request: str) -> str:
        """Return the request after a link word; a remark may follow it."""
        if self.turns and (link := self.rng.choice(LINKS)):
            request = f"{link} {_lower_start(request)}"
        return f"{request} {self.reason()}"

    def plan(self, kind: Any, *settings: tuple[str, Mapping[str, Any]], **more: Any) -> Intent:
        return Intent(kind, settings, time=self.meta["time_of_day"], **more)


def write_session(household: Household, *, seed: int, number: int) -> Session:
    """Return session `number` of a household; the same arguments always give the same text."""
    rng = random.Random(f"{household.source}/{seed}/session/{household.index}/{number}")
    routine = rng.choice(household.routines) if rng.random() > SPONTANEOUS else None
    scene = _Scene(household, rng, _draw_meta(routine, rng))
    wanted = list(_wanted(household, routine, scene))
    length = rng.choice((4, 4, 5, 5, 5, 6))
    while len(scene.turns) < length:
        if wanted and rng.random() > SPONTANEOUS * 0.6:
            device, values, habitual = wanted.pop(0)
            _request_device(scene, device, values, habitual=habitual)
        else:
            _request_something_else(scene)
    if rng.random() < 0.6:
        scene.say(rng.choice(scene.tone["thanks"]), scene.plan("close"))
    return Session(scene.meta, tuple(scene.turns))


def need_request(need: str, household: Household, rng: random.Random) -> str:
    """Return one vague request for `need` in the household's tone."""
    scene = _Scene(household, rng, {"time_of_day": "evening", "weather": "cloudy"})
    return _tidy(scene.words(rng.choice(NEEDS[need])))


def _draw_meta(routine: Mapping[str, Any] | None, rng: random.Random) -> dict[str, Any]:
    if routine is not None:
        return dict(routine["triggers"])
    time, weather = rng.choice(TIMES), rng.choice(tuple(WEATHER_TEMPERATURE))
    return circumstances(time, weather, rng.randint(*WEATHER_TEMPERATURE[weather]), rng)


def _wanted(
    household: Household, routine: Mapping[str, Any] | None, scene: _Scene
) -> list[tuple[str, dict[str, Any], bool]]:
    rng = scene.rng
    if routine is None:
        fresh = draw_settings(rng)
        needs = rng.sample(sorted(fresh), 3)
        one_each = {need.split("/")[0]: fresh[need] for need in needs}
        return [(device, values, False) for device, values in one_each.items()]
    devices = [(device, dict(values), True) for device, values in routine["actions"].items() if values]
    rng.shuffle(devices)
    return devices


def _request_device(scene: _Scene, device: str, values: dict[str, Any], *, habitual: bool) -> None:
    """One device: asked for exactly, or vaguely, so that the assistant asks back or acts on what it knows."""
    rng = scene.rng
    scene.state[device] = values
    if device in ("tv", "speaker", "ac") and rng.random() < OFF_SHARE:
        scene.state.pop(device)
        request = scene.words(rng.choice(OFF_REQUESTS), device=DEVICE_NAMES[device])
        scene.say(scene.link(request), scene.plan("off", (device, {})))
    elif rng.random() < 0.36:
        _request_exactly(scene, device, values)
    else:
        _request_vaguely(scene, device, values, habitual=habitual)


def _request_exactly(scene: _Scene, device: str, values: dict[str, Any]) -> None:
    room = _maybe_room(scene, device)
    shown = _user_phrase(device, values, scene.rng)
    verb = (
        f"arm the security system {shown}".strip()
        if device == "security"
        else f"set the {{device}} to {shown}"
    )
    request = scene.words(f"{{can}} {verb}?", device=DEVICE_NAMES[device], room=room)
    scene.say(scene.link(request), scene.plan("set", (device, values), room=room))


def _maybe_room(scene: _Scene, device: str) -> str:
    return scene.rng.choice(ROOMS) if device == "lights" and scene.rng.random() < 0.2 else ""


def _request_vaguely(scene: _Scene, device: str, values: dict[str, Any], *, habitual: bool) -> None:
    rng, household = scene.rng, scene.household
    room = _maybe_room(scene, device)
    request = scene.link(scene.words(rng.choice(NEEDS[need_of(device, values)]), room=room))
    ask, act = scene.plan("ask", (device, values), room=room), scene.plan("set", (device, values), room=room)
    known, guessed = (
        act if habitual and choose("initiative") == "act" else ask
        for choose in (known_manner(household), scene.so_far.expected())
    )
    acts = habitual and scene.manner("initiative") == "act"
    scene.say(request, act if acts else ask, knows_persona=known, knows_population=guessed)
    if not acts:
        _answer(scene, device, values)


def _answer(scene: _Scene, device: str, values: dict[str, Any]) -> None:
    """The user gives the values asked for; sometimes not all, so that the assistant offers the rest."""
    rng = scene.rng
    keys = [key for key in values if key != "armed"]
    if len(keys) >= 3 and rng.random() < 0.3:
        left = keys[-1]
        part = {key: value for key, value in values.items() if key != left}
        scene.say(_give(scene, device, part), scene.plan("set", (device, part), offer=(device, left)))
        rest = {left: values[left]}
        scene.say(
            f"{rng.choice(scene.tone['yes'])} Set the {PARAMETER_NAMES[left]} to {values[left]}.",
            scene.plan("set", (device, rest)),
        )
        return
    scene.say(_give(scene, device, values), scene.plan("set", (device, values)))


def _give(scene: _Scene, device: str, values: Mapping[str, Any]) -> str:
    shown = _user_phrase(device, values, scene.rng)
    given = scene.rng.choice(scene.tone["give"]).format(s=shown, S=shown[0].upper() + shown[1:])
    return f"{given} {scene.reason() if scene.rng.random() < 0.4 else ''}"


def _user_phrase(device: str, values: Mapping[str, Any], rng: random.Random) -> str:
    return phrase_settings(device, values, rng.choice(("with", "comma", "comma", "label")))


def _request_something_else(scene: _Scene) -> None:
    """A spontaneous request: the state of a device, a device of another kind, or new values for a set one."""
    rng = scene.rng
    chance = rng.random()
    known = [(device, key) for device, values in scene.state.items() for key in values if key != "armed"]
    if chance < 0.3 and known:
        device, key = rng.choice(known)
        names = {"device": DEVICE_NAMES[device], "parameter": PARAMETER_NAMES[key]}
        answer = TELL_STATE.format(value=scene.state[device][key], **names)
        scene.say(scene.link(rng.choice(ASK_STATE).format(**names)), scene.plan("say", text=answer))
    elif chance < 0.5:
        request, answer = rng.choice(OTHER_REQUESTS)
        scene.say(scene.link(scene.words(request)), scene.plan("say", text=answer))
    else:
        fresh = draw_settings(rng)
        need = rng.choice(sorted(fresh))
        device = need.split("/")[0]
        keys = [key for key in fresh[need] if key != "armed"]
        chosen = rng.sample(keys, min(len(keys), rng.choice((1, 1, 2))))
        part = {key: fresh[need][key] for key in keys if key in chosen}
        scene.state[device] = scene.state.get(device, {}) | part
        _request_exactly(scene, device, part)


def _lower_start(text: str) -> str:
    kept = ("I ", "I'", "AC", "TV", "HDMI", "Netflix", "YouTube", "Disney", "Prime")
    return text if text.startswith(kept) else text[0].lower() + text[1:]


def _tidy(text: str) -> str:
    """Return the text with single spaces, the right article, and a capital at the start of each sentence."""
    words = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", " ".join(text.split()))
    return re.sub(r"(^|[.?!:] )([a-z])", lambda match: match.group(1) + match.group(2).upper(), words)
