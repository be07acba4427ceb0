"""What tells the order in time of a persona's dialogues, and what is said where nothing does.

Owns the choice: dates, where every dialogue of a persona has one; else ids, where they are numbered alike;
else the file's own order, which may be newest first and is never called known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol, TypeVar

from engine.core.wording import count
from engine.data.when import numbered

By = Literal["dates", "ids", "file", ""]
_RANKS: Final = {"train": 0, "val": 1, "test": 2}
_WORDS: Final = {"dates": "dates", "ids": "numbered ids", "file": "the file alone"}


class Placed(Protocol):
    """What can be put in order: its id, and when it took place where that is known."""

    @property
    def session(self) -> str: ...
    @property
    def time(self) -> float | None: ...
    @property
    def last(self) -> bool: ...
    @property
    def split(self) -> str: ...


_One = TypeVar("_One", bound=Placed)


def put_in_order(rows: Sequence[_One], *, ids_tell: bool = True) -> tuple[list[_One], By]:
    """Return a persona's dialogues, oldest first, and what told so ("" for one alone, which needs no
    order).
    """
    queries = [row for row in rows if row.last]
    if queries and len(queries) < len(rows):
        history, by = put_in_order([row for row in rows if not row.last], ids_tell=ids_tell)
        return [*history, *sorted(queries, key=lambda row: _RANKS.get(row.split, len(_RANKS)))], by
    if len(rows) < 2 or queries:
        return list(rows), ""
    keys = numbered([row.session for row in rows]) if ids_tell else None
    if all(row.time is not None for row in rows) and len({row.time for row in rows}) > 1:
        # Of one moment: by the ids where they are numbered, else as they stand; in a file that is newest
        # first, the other way round.
        times = [row.time or 0.0 for row in rows]
        newest_first = times == sorted(times, reverse=True)
        within = keys or [(-place if newest_first else place,) for place in range(len(rows))]
        places = sorted(range(len(rows)), key=lambda place: (rows[place].time, within[place]))
        return [rows[place] for place in places], "dates"
    if keys is not None:
        return [rows[place] for place in sorted(range(len(rows)), key=keys.__getitem__)], "ids"
    return sorted(rows, key=lambda row: _RANKS.get(row.split, 0)), "file"  # a split says that much


@dataclass(frozen=True, slots=True)
class Order:
    """How many personas' order is known by what; `unknown` names those for whom only the file tells.

    `unsure_days`: the dates may be read month first or day first, and nothing in them tells which.
    """

    dates: int = 0
    ids: int = 0
    unknown: tuple[str, ...] = ()
    unsure_days: bool = False

    def with_one(self, persona_id: str, by: By) -> "Order":
        """Return the record with one persona more."""
        if by == "file":
            return replace(self, unknown=(*self.unknown, persona_id))
        return self if not by else replace(self, **{by: getattr(self, by) + 1})

    def of(self, personas: Iterable[str]) -> "Order":
        """Return the record with only those of the unknown who are among `personas`."""
        kept = set(personas)
        return replace(self, unknown=tuple(one for one in self.unknown if one in kept))

    @property
    def doubt(self) -> str:
        """What keeps the order from being known, "" for nothing."""
        if self.unknown:
            named = ", ".join(self.unknown[:5]) + (", ..." if len(self.unknown) > 5 else "")
            return (
                f"the order in time of {count(len(self.unknown), 'persona')} ({named}) is not"
                " known: no dates throughout, and"
                " ids that are not numbered alike"
            )
        if self.unsure_days and self.dates:
            return "the dates may be month first or day first (3/4/2024), and nothing in them tells which"
        return ""

    @property
    def by(self) -> str:
        """What told the order, in words."""
        held = {"dates": self.dates, "ids": self.ids, "file": len(self.unknown)}
        return " and ".join(_WORDS[name] for name, number in held.items() if number)

    def notes(self) -> tuple[str, ...]:
        """What is worth saying of it."""
        if not self.doubt:
            return ()
        mend = (
            "Name their way with --map dates=day-first or dates=month-first."
            if not self.unknown
            else "The file's order was taken, which may be newest first: name a column of dates with --map"
            " time=COLUMN, or split by persona."
        )
        return (f"{self.doubt[0].upper()}{self.doubt[1:]}. {mend}",)

    def as_json(self) -> dict[str, Any]:
        """Return what splits.json and the card hold of it."""
        return {"by": self.by, "known": not self.doubt, "unknown": list(self.unknown)}
