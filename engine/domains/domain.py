"""What a domain is: one record of all that the rest of Persona Lab must be told about a study's subject.

Owns the record and how metadata is put into words. Knows no subject itself, reads no file, loads no model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from engine.core.types import Dataset, Dialogue, Message, Persona
from engine.domains import acts
from engine.domains.acts import Act
from engine.domains.rewording import spoken

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

Interaction = tuple[str, str]
"""What the user said, and what was replied."""

Method = Callable[[Dialogue, Random], Dialogue | None]
"""One way to change a dialogue, message by message; None where there is nothing it could change."""


@dataclass(frozen=True, slots=True)
class Routine:
    """One routine in words: its triggers as one phrase, and one phrase for each thing that is then done."""

    when: str
    then: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Augmenting:
    """The ways to change a training dialogue that keep its facts, and what a fact is.

    `rules` maps each way by rule to its words on screens. `make` gets all training dialogues and returns what
    makes a persona's methods, by those names. `keeps` says whether a message, changed, still asks or does the
    same (numbers are compared anyway). `rewording` is what a model is told that rewords a user's message.
    """

    rules: Mapping[str, str]
    make: Callable[[Sequence[Dialogue]], Callable[[Persona], Mapping[str, Method]]]
    keeps: Callable[[Message, Message], bool]
    rewording: str


ANY_TEXT = Augmenting(
    rules={"spoken": "As people speak"},
    make=lambda sources: lambda persona: {"spoken": spoken},
    keeps=lambda before, after: True,
    rewording=(
        "Reword what a user says to an assistant. Keep its meaning and every name and number. Answer with"
        " the new wording alone."
    ),
)
"""What may be done to any dialogue: the user's messages as they are spoken, no word of content changed."""


def plainly(key: str, value: Any) -> str:
    """Word a fact of the metadata: ("language", "pt_br") -> "language pt br"."""
    return f"{key} {value}".replace("_", " ")


def triggers_and_actions(routines: Iterable[Mapping[str, Any]]) -> list[Routine]:
    """Word routines as they are written, key by key."""

    def told(facts: Mapping[str, Any]) -> str:
        return ", ".join(plainly(key, value) for key, value in facts.items() if value not in (None, ""))

    return [
        Routine(
            told(one.get("triggers") or {}).capitalize() or "At any time",
            tuple((name, str(what)) for name, what in (one.get("actions") or {}).items() if what),
        )
        for one in routines
    ]


@dataclass(frozen=True, slots=True)
class CoPrimary:
    """A second primary metric: nothing is better that is worse in it by `margin` (in its unit) or more.

    `words` name the two where they disagree: ("wording", "actions").
    """

    metric: str
    margin: float
    words: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What a study's dialogues are about.

    `name` is what the workspace holds, `title` and `about` (one sentence) what people read. `instruction`
    opens every system prompt. Of a dialogue's metadata only the keys in `shown` reach a prompt, each worded
    by `word`; what is not named there may be the answer itself. `metrics` are names of the registry, the
    primary one first; `also_up` those that must rise too for the highest success band, `co_primary` the one
    that must not fall for a verdict of better. `acts` is the one judge of what a reply does, `acts_title`
    heads the count of what replies act on, `topic` is the word for one such thing, `of_acts` are the metrics
    that compare what replies do. `habits` turns what each persona asked and was replied to into numbers, a
    row a persona, for clustering (words of the replies are added for all). `is_closed` says that a reply is
    one of a few answers, each of which stands in everybody's history. Whatever changes in what reaches a
    prompt or a score needs another `version`: it is part of the protocol.
    `shows_all` and no version are for workspaces older than domains, whose prompts told everything.
    """

    name: str
    title: str
    about: str
    instruction: str
    metrics: tuple[str, ...]
    version: str = "1"
    is_closed: bool = False
    shown: tuple[str, ...] = ()
    shows_all: bool = False
    word: Callable[[str, Any], str] = plainly
    also_up: tuple[str, ...] = ()
    co_primary: CoPrimary | None = None
    acts: Callable[[str], tuple[Act, ...]] = acts.nothing
    acts_title: str = ""
    topic: str = ""
    of_acts: tuple[str, ...] = ()
    habits: "Callable[[Mapping[str, Sequence[Interaction]]], Matrix] | None" = None
    augmenting: Augmenting = field(default=ANY_TEXT)
    embedded_base_fits: bool = False
    routines: Callable[[Iterable[Mapping[str, Any]]], list[Routine]] = triggers_and_actions
    assistant: str = "Assistant"
    recognises: Callable[[Dataset], bool] = lambda dataset: False

    @property
    def primary(self) -> str:
        """The metric that decides unless another is asked for."""
        return self.metrics[0]

    @property
    def identity(self) -> str:
        """What the protocol holds of it: "" for that of a workspace older than domains."""
        return f"{self.name} {self.version}" if self.version else ""

    @property
    def judges(self) -> bool:
        """Whether its replies do things that can be told."""
        return self.acts is not acts.nothing

    def where_nothing_acts(self) -> "Domain":
        """Return the domain for data in which no reply does anything: nothing compares what replies do."""
        told = tuple(name for name in self.metrics if name not in self.of_acts)
        also = tuple(name for name in self.also_up if name not in self.of_acts)
        beside = self.co_primary
        kept = None if beside is not None and beside.metric in self.of_acts else beside
        return replace(self, metrics=told, also_up=also, co_primary=kept) if told else self

    def facts(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a dialogue's metadata may be shown to a model, in its own order."""
        return {key: value for key, value in meta.items() if self.shows_all or key in self.shown}

    def context(self, meta: Mapping[str, Any]) -> list[str]:
        """Word what may be shown of the metadata and is known, in its own order."""
        return [self.word(key, value) for key, value in self.facts(meta).items() if value not in (None, "")]

    def situation(self, meta: Mapping[str, Any]) -> str:
        """Word it for people, as one phrase in the domain's order: "Weekend, night"; "" for nothing known."""
        ordered = {key: meta[key] for key in (*self.shown, *meta) if key in meta}
        told = dict.fromkeys(self.context(ordered))  # "night" is an hour and a sky
        return ", ".join(told).capitalize()

    def is_useful(self, reply: str) -> bool:
        """Whether there is something to learn from a reply: it does something, where that can be told."""
        return not self.judges or bool(self.acts(reply))

    def subjects(self, text: str) -> frozenset[str]:
        """Return what a reply acts on or names."""
        return frozenset(act.subject for act in self.acts(text))
