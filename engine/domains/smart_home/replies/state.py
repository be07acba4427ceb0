"""The state of reading one reply: what is named, set, and still waiting for a value.

Owns the record that the rules of grammar.py, values.py and switching.py share; knows no word.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.domains.smart_home.replies.scope import Item, Pending, Scope, Value, name_on, takes
from engine.domains.smart_home.replies.tokens import Symbol


@dataclass(slots=True)
class State:
    """The reply (`symbols`, `kinds` padded by three "end"), what was found, and the sentence being read.

    Of the sentence: `items` are values read, `waiting` parameters without one, `used` the symbols already
    read or denied. `tight`: nothing stands between the last device and here; `chained`: only list words do;
    `linked`: one of them links; `conjoined`: the group holds an "and"; `here`: a device or a pronoun was
    named in the sentence; `asking`: from here on it only asks. `power` waits for its object.
    """

    symbols: list[Symbol]
    kinds: list[str]
    has_ac: bool
    devices: set[str] = field(default_factory=set)
    settings: set[tuple[str, str, Value]] = field(default_factory=set)
    scope: Scope = field(default_factory=Scope)
    start: int = 0
    items: list[Item] = field(default_factory=list)
    waiting: list[Pending] = field(default_factory=list)
    parameters: set[str] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    asking: bool = False
    tight: bool = False
    chained: bool = False
    linked: bool = False
    linked_by_and: bool = False
    conjoined: bool = False
    here: bool = False
    power: str | None = None
    power_used: bool = False
    turning: bool = False
    shutting: bool = False
    lowering: bool = False

    def begin(self, start: int) -> None:
        """Start the sentence at `start`: what was named stays, everything else is forgotten."""
        self.start = start
        self.items, self.waiting, self.parameters, self.used = [], [], set(), set()
        self.asking = self.tight = self.chained = self.linked = self.linked_by_and = False
        self.conjoined = self.here = self.power_used = self.turning = self.shutting = self.lowering = False
        self.power = None

    def close(self) -> None:
        """Give every item of the sentence its device, and name the devices of parameters left waiting."""
        together = frozenset(self.parameters)
        for pending in self.waiting:
            self.name_owner(pending, together)
        for item in self.items:
            for device in self.scope.owners_of(item, together):
                self.devices.add(device)
                self.settings.add((device, name_on(device, item.parameter), item.value))

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
        armed = device == "security"
        self.settings.add((device, "armed" if armed else "power", state == "on" if armed else state))

    def switch_group(self, state: str) -> None:
        """Switch the devices named together last; only the last of them when no "and" joins them."""
        for device in self.scope.group if self.conjoined else self.scope.group[-1:]:
            self.switch(device, state)

    def back_over(self, kinds: frozenset[str], at: int) -> int:
        """Return the nearest index from `at` backwards whose kind is not in `kinds`; start - 1 if none is."""
        while at >= self.start and self.kinds[at] in kinds:
            at -= 1
        return at

    def kind_at(self, at: int) -> str:
        """Return the kind of symbol `at`, "end" before the sentence."""
        return self.kinds[at] if at >= self.start else "end"
