"""The state of reading one reply: what is named, set, and still waiting for a value; and whose a value is.

Owns the record that all rules share, and the memory of what was named; reads no word.
"""

from dataclasses import dataclass, field

from engine.domains.smart_home.replies.lexicon import DEVICES, MAIN_PARAMETER, MODE_OWNER, OWNERS
from engine.domains.smart_home.replies.tokens import Symbol

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

    @property
    def owners(self) -> tuple[str, ...]:
        """The devices that it is surely of."""
        return self.devices or ((self.nearest,) if self.bound and self.nearest else ())


@dataclass(slots=True)
class Scope:
    """The devices named so far in a reply, the latest last, and the group named together last.

    `denied` was last spoken of only to say that it is not changed: "they" may still mean it.
    """

    named: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    denied: str | None = None

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


def is_change(parameter: str) -> bool:
    return parameter.endswith("_change")


def takes(device: str, parameter: str) -> bool:
    """Return whether `device` has `parameter`. Devices outside the five have none that is documented."""
    return device in DEVICES and device in OWNERS.get(base_of(parameter), ())


def name_on(device: str, parameter: str) -> str:
    """Return the parameter's name on `device`: the volume of security is its alarm volume."""
    is_alarm = device == "security" and base_of(parameter) == "volume"
    return parameter.replace("volume", "alarm_volume", 1) if is_alarm else parameter


@dataclass(slots=True)
class Parse:
    """The reply (`symbols`, `kinds` padded by three "end"), what was found, and the sentence being read.

    Of the sentence: `items` are values read, `waiting` parameters without one, `used` the symbols already
    read or denied. `tight`: nothing stands between the last device and here; `chained`: only list words do;
    `linked`: one of them links; `conjoined`: the group holds an "and"; `here`: a device or a pronoun was
    named in the sentence; `asking`: here it
    only asks or supposes; `past`: here it says what held before. `power` waits for its object; `switched` is
    what the last one got.
    """

    symbols: list[Symbol]
    kinds: list[str]
    has_ac: bool
    devices: set[str] = field(default_factory=set)
    settings: set[tuple[str, str, Value]] = field(default_factory=set)
    quoted: set[int] = field(default_factory=set)
    scope: Scope = field(default_factory=Scope)
    start: int = 0
    items: list[Item] = field(default_factory=list)
    waiting: list[Pending] = field(default_factory=list)
    parameters: set[str] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    asking: bool = False
    past: bool = False
    latest: Item | None = None
    tight: bool = False
    chained: bool = False
    linked: bool = False
    linked_by_and: bool = False
    conjoined: bool = False
    here: bool = False
    power: str | None = None
    power_used: bool = False
    switched: str | None = None
    turning: bool = False
    shutting: bool = False

    def begin(self, start: int) -> None:
        """Start the sentence at `start`: what was named stays, everything else is forgotten."""
        self.start = start
        if not (self.past and self.symbols[start].text == "now"):
            self.waiting = []  # "The volume was 50. Now it's 30."
        self.items, self.parameters, self.used = [], set(), set()
        self.asking = self.past = self.tight = self.chained = self.linked = self.linked_by_and = False
        self.conjoined = self.here = self.power_used = self.turning = self.shutting = False
        self.power = self.switched = None

    def close(self) -> None:
        """Give every item of the sentence its device, and name the devices of parameters left waiting."""
        together = frozenset(self.parameters)
        for pending in self.waiting:
            self.name_owner(pending, together)
        for item in self.items:
            item.devices = self.scope.owners_of(item, together)
            for device in item.devices:
                self.devices.add(device)
                self.settings.add((device, name_on(device, item.parameter), item.value))
            self.latest = item

    def outcome(self) -> tuple[set[str], set[tuple[str, str, Value]]]:
        """Return what is named and set: of how far and where to ("by two degrees, to 23"), where to."""
        known = {(device, parameter) for device, parameter, _ in self.settings}
        how_far = {
            (device, parameter, value)
            for device, parameter, value in self.settings
            if is_change(parameter) and (device, base_of(parameter)) in known
        }
        return self.devices, self.settings - how_far

    def withdraw(self, item: Item) -> None:
        """Take back a value that is corrected, of this sentence or of one before."""
        self.items = [other for other in self.items if other is not item]
        if item is self.latest:
            self.settings -= {
                (device, name_on(device, item.parameter), item.value) for device in item.devices
            }

    def name_owner(self, pending: Pending, together: frozenset[str] = frozenset()) -> None:
        """Name the device of a parameter that got no value, where only one can be meant."""
        if pending.parameter is None or pending.quiet:
            return
        owner = self.scope.owner(pending.parameter, together=together)
        if owner is not None:
            self.devices.add(owner)
            self.scope.named.append(owner)

    def add(self, parameter: str, value: Value, end: int, devices: tuple[str, ...] = ()) -> None:
        """Record a value that ends with symbol `end`, on `devices` where they are known."""
        nearest = self.scope.current
        bound = bool(devices) or (self.tight and nearest is not None and takes(nearest, parameter))
        self.parameters.add(parameter)
        if not self.power_used:
            self.power = None  # "turning on static mode for the lights"
        self.items.append(Item(parameter, value, devices, nearest, len(self.scope.named), bound, end))
        self.tight = False

    def switch(self, device: str, state: str) -> None:
        """Record power "on" or "off"; security is armed or disarmed by it. A question switches nothing."""
        if self.asking:
            return
        self.devices.add(device)
        self.switched = state
        armed = device == "security"
        self.settings.add((device, "armed" if armed else "power", state == "on" if armed else state))

    def switch_group(self, state: str) -> None:
        """Switch the devices named together last; only the last of them when no "and" joins them."""
        for device in self.scope.group if self.conjoined else self.scope.group[-1:]:
            self.switch(device, state)

    def alike(self) -> tuple[str, ...]:
        """Return the devices named together last, where one bare number means the same on each, else ()."""
        group = self.scope.group if self.conjoined and not self.power_used else []
        return tuple(group) if len({MAIN_PARAMETER.get(device) for device in group}) == 1 else ()

    def back_over(self, kinds: frozenset[str], at: int) -> int:
        """Return the nearest index from `at` backwards whose kind is not in `kinds`; start - 1 if none is."""
        while at >= self.start and self.kinds[at] in kinds:
            at -= 1
        return at

    def kind_at(self, at: int) -> str:
        """Return the kind of symbol `at`, "end" before the sentence."""
        return self.kinds[at] if at >= self.start else "end"
