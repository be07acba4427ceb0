"""The records that travel between the parts of the engine. Owns shapes only; reads and writes nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Row = Mapping[str, Any]
"""A row of a table that people read: column -> value."""
Split = Literal["train", "val", "test", "history", "unseen"]
Role = Literal["user", "assistant", "system"]
_NAME = re.compile(r"([^\W\d_]{2,})(?:'s| (?:is|has|likes|loves|lives|works|was|prefers|wants|speaks)\b)")
_NO_NAMES = frozenset(
    {"He", "She", "They", "It", "This", "That", "There", "Who", "User", "Persona", "Somebody"}
)


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a dialogue."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Persona:
    """One user. `character` (a free text) and `routines` (EdgeWisePersona's records) are optional."""

    persona_id: str
    character: str | None = None
    routines: tuple[dict[str, Any], ...] = ()

    @property
    def first_name(self) -> str:
        """The name that the character text begins with, "" where it begins with none."""
        found = _NAME.match(self.character or "")
        name = "" if found is None else found[1]
        return name if name[:1].isupper() and name not in _NO_NAMES else ""

    @property
    def called(self) -> str:
        """What people read: the id, and the first name where there is one."""
        return f"{self.persona_id} ({self.first_name})" if self.first_name else self.persona_id


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One session of a persona. `order` is its place in time within the persona, from 0."""

    persona_id: str
    dialogue_id: str
    order: int
    messages: tuple[Message, ...]
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """All personas and their dialogues, dialogues sorted by (persona_id, order)."""

    personas: tuple[Persona, ...]
    dialogues: tuple[Dialogue, ...]


@dataclass(frozen=True, slots=True)
class Splits:
    """Which dialogue is for what.

    `scheme` is "by-time" (every persona has train, val and test dialogues; `online` is the last slice of its
    train part) or "by-persona" (a persona's dialogues lie in one split only). `assignment` maps dialogue_id
    -> split; `online` holds dialogue ids. Beside a split by time, `unseen` holds the ids of personas kept out
    of all training: their earlier dialogues are "history", which may be remembered and never trained on, and
    the later ones are "unseen", which are judged.
    """

    scheme: Literal["by-time", "by-persona"]
    assignment: dict[str, Split]
    online: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Example:
    """One assistant turn to predict: everything said before it, and the reference reply."""

    example_id: str
    persona_id: str
    dialogue_id: str
    turn: int
    context: tuple[Message, ...]
    reference: str
    meta: dict[str, Any] = field(default_factory=dict)
