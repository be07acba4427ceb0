"""What a reply does to the devices of a home, read from its words alone.

Owns `extract`, the one judge of what counts, and `acts`, the same in words; the grammar is in replies/.
Refuses to look at the user's request: a reply is judged by what it says.

What counts:
- A device counts as named in a statement, an offer or a question ("Would you like me to adjust the lights?"
  names the lights), because replies that ask name the device too; not where it is said to be left alone, or
  that something cannot be done. A parameter names its device where there is no doubt ("fan speed" is the
  AC's).
- A setting (device, parameter, value) counts where the reply says that it holds from now on, be it done,
  promised or so already. Questions and offers ("Is 50% fine?", "I could set it to 50 if you like"),
  conditions, quotes, what the user asked for, what held before ("was 30, now 40") and ranges set nothing.
- Of a correction the last value counts ("22, no, 24").
- Rooms make no other device. Devices outside the five are named by their own word and take settings too.
- Numbers keep the scale they are said in: 72 degrees is 72; 21,5 is 21.5, and -5 is not 5. "Down by 10" and
  "10 percent dimmer" are changes ("volume_change", signed) where nothing says where to ("to 23").
- Security switched on or off is armed true or false. Power counts only when it is said.
"""

from dataclasses import dataclass
from functools import lru_cache

from engine.domains.acts import Act
from engine.domains.smart_home.replies.grammar import read
from engine.domains.smart_home.replies.lexicon import LEXICON_VERSION

ACTIONS_VERSION = f"3.{LEXICON_VERSION}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value given to one parameter of one device. Numbers are floats; power is "on" or "off"."""

    device: str
    parameter: str
    value: float | str | bool

    @property
    def is_number(self) -> bool:
        return isinstance(self.value, float)


@dataclass(frozen=True, slots=True)
class Actions:
    """What a reply names and sets. `devices` holds every device of `settings`, and those only named."""

    devices: frozenset[str]
    settings: frozenset[Setting]

    @property
    def numbers(self) -> frozenset[Setting]:
        """The settings whose value is a number."""
        return frozenset(setting for setting in self.settings if setting.is_number)


@lru_cache(maxsize=65_536)
def extract(text: str) -> Actions:
    """Return what `text` does. Any text is accepted; one that names no device gives empty sets."""
    devices, settings = read(text)
    return Actions(frozenset(devices), frozenset(Setting(*setting) for setting in settings))


def acts(text: str) -> tuple[Act, ...]:
    """Return what `extract` finds in words, sorted; a device counts by name where nothing of it is set."""
    found = extract(text)
    named = found.devices - {setting.device for setting in found.settings}
    made = [_act(setting) for setting in found.settings] + [Act(device_name(device)) for device in named]
    return tuple(sorted(made, key=lambda act: (act.subject, act.aspect, act.value)))


def device_name(device: str) -> str:
    """Word a device: "ac" -> "AC", "robot_vacuum" -> "Robot vacuum"."""
    return device.upper() if len(device) == 2 else device.replace("_", " ").capitalize()


def _act(setting: Setting) -> Act:
    """ "AC fan speed 3", "Lights on", "Security disarmed": a switch needs no name beside its device's."""
    device, value = device_name(setting.device), setting.value
    if isinstance(value, bool):
        return Act(device, setting.parameter, "armed" if value else "disarmed", device)
    told = f"{value:g}" if isinstance(value, float) else value.replace("_", " ")
    is_switch = setting.parameter == "power"
    label = device if is_switch else f"{device} {setting.parameter.replace('_', ' ')}"
    return Act(device, setting.parameter, told, label, in_text=not is_switch)
