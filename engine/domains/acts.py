"""What a reply does, and how that stands to what the right reply does. Owns the records and the comparison.

What counts as an act is the domain's to say; chips, marks and findings all come from here, so that they never
differ from each other or from the metrics that read the same acts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Match = Literal["plain", "right", "other", "missing", "extra"]
KINDS: tuple[Match, ...] = ("plain", "right", "other", "missing", "extra")


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a reply does: to what (`subject`), which side of it (`aspect`), and the value given.

    Without an aspect the subject is only named. `label` words subject and aspect. `in_text` says that the
    value stands in the reply as it is spelled here, so that it can be marked there.
    """

    subject: str
    aspect: str = ""
    value: str = ""
    label: str = ""
    in_text: bool = False

    @property
    def about(self) -> tuple[str, str]:
        """What two acts share that give the same thing a value."""
        return self.subject, self.aspect

    @property
    def words(self) -> str:
        """The act for people: what is done to what, or that it is only named."""
        return f"{self.label or self.subject} {self.value if self.aspect else 'named'}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One act of a reply, held against the right reply's; "plain" where there is none to hold it against."""

    kind: Match
    words: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a reply's text; `kind` is "" where it states no value."""

    text: str
    kind: Match | Literal[""] = ""


def nothing(text: str) -> tuple[Act, ...]:
    """Return no act: the judge of a domain whose replies only say something."""
    return ()


def findings(said: Sequence[Act], held: Sequence[Act] | None) -> tuple[Finding, ...]:
    """Return what a reply does: right, another value, missing, extra; all of it plain where `held` is None.

    A subject that either side gives a value is told by its values, any other by its name.
    """
    if held is None:
        return tuple(Finding("plain", act.words) for act in sorted(said, key=_place))
    found = [_held(act, said) for act in sorted(held, key=_place) if act.aspect]
    wanted = {act.about for act in held if act.aspect}
    found += [
        Finding("extra", act.words)
        for act in sorted(said, key=_place)
        if act.aspect and act.about not in wanted
    ]
    told = {act.subject for act in (*said, *held) if act.aspect}
    names = ({act.subject for act in said}, {act.subject for act in held})
    for subject in sorted((names[0] | names[1]) - told):
        kind: Match = "extra" if subject not in names[1] else "right" if subject in names[0] else "missing"
        found.append(Finding(kind, Act(subject).words))
    return tuple(sorted(found, key=lambda one: KINDS.index(one.kind)))


def _held(act: Act, said: Sequence[Act]) -> Finding:
    """Return how the reply stands to one act of the right reply."""
    values = sorted(one.value for one in said if one.about == act.about)
    if act in said:
        return Finding("right", act.words)
    if values:
        return Finding("other", f"{act.label or act.subject} {' and '.join(values)}, not {act.value}")
    return Finding("missing", act.words)


def pieces(text: str, said: Sequence[Act], held: Sequence[Act]) -> tuple[Piece, ...]:
    """Return a reply cut where it states a value that is right, another one, or extra.

    A value that stands for several acts of different kinds is not marked: its words alone do not tell.
    """
    marks: dict[str, set[Match]] = {}
    wanted = {act.about for act in held}
    for act in said:
        if act.in_text:
            kind: Match = "right" if act in held else "other" if act.about in wanted else "extra"
            marks.setdefault(act.value, set()).add(kind)
    certain = {value.lower(): kinds.pop() for value, kinds in marks.items() if len(kinds) == 1}
    if not certain:
        return (Piece(text),)
    values = "|".join(re.escape(value) for value in sorted(certain, key=len, reverse=True))
    cut = re.split(rf"(?<![\w.])({values})(?![\w]|\.\d)", text, flags=re.IGNORECASE)
    return tuple(
        Piece(part, certain[part.lower()] if place % 2 else "") for place, part in enumerate(cut) if part
    )


def _place(act: Act) -> tuple[str, str, str]:
    return act.subject, act.aspect, act.value
