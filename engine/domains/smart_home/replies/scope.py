"""Which device a parameter or a value belongs to. Owns the memory of what was named; reads no words."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.domains.smart_home.replies.lexicon import DEVICES, MODE_OWNER, OWNERS

Value = float | str | bool


@dataclass(slots=True)
class Pending:
    """A parameter that waits for its value. `parameter` None swallows a number ("outdoor temperature")."""

    parameter: str | None
    devices: tuple[str, ...]
    at: int
    quiet: bool = False


@dataclass(slots=True)
class Item:
    """A value that was read. `devices` empty: not yet known whose. A bound item stays where it is."""

    parameter: str
    value: Value
    devices: tuple[str, ...]
    nearest: str | None
    named_before: int
    bound: bool
    end: int


@dataclass(slots=True)
class Scope:
    """The devices named so far in a reply, the latest last, and the group named together last."""

    named: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)

    @property
    def current(self) -> str | None:
        return self.named[-1] if self.named else None

    def owner(
        self, parameter: str, *, upto: int | None = None, together: frozenset[str] = frozenset()
    ) -> str | None:
        """Return the device meant by a bare `parameter`: the latest that has it, first before `upto`.

        `together` holds the parameters of the same sentence: volume and brightness together are the TV's.
        None when more than one device may be meant.
        """
        owners = OWNERS.get(base_of(parameter), ())
        if len(owners) == 1:
            return owners[0]
        split = len(self.named) if upto is None else upto
        for device in (*reversed(self.named[:split]), *self.named[split:]):
            if device in owners:
                return device
        return "tv" if {"volume", "brightness"} <= together and "tv" in owners else None

    def owners_of(self, item: Item, together: frozenset[str]) -> tuple[str, ...]:
        """Return the devices of `item`, guessed by the parameter's usual owner when nothing was said."""
        if item.devices:
            return item.devices
        if item.parameter == "mode":
            return (MODE_OWNER[str(item.value)],)
        if item.nearest is not None and takes(item.nearest, item.parameter):
            return (item.nearest,)
        owner = self.owner(item.parameter, upto=item.named_before, together=together)
        return (owner or OWNERS[base_of(item.parameter)][0],)


def base_of(parameter: str) -> str:
    return parameter.removesuffix("_change")


def takes(device: str, parameter: str) -> bool:
    """Return whether `device` has `parameter`. Devices outside the five have none that is documented."""
    return device in DEVICES and device in OWNERS.get(base_of(parameter), ())


def name_on(device: str, parameter: str) -> str:
    """Return the parameter's name on `device`: the volume of security is its alarm volume."""
    return parameter.replace("volume", "alarm_volume", 1) if _plain_alarm(device, parameter) else parameter


def _plain_alarm(device: str, parameter: str) -> bool:
    return device == "security" and base_of(parameter) == "volume"
