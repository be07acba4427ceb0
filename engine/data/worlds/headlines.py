"""Worlds of headlines: authors whose articles are headed each in a way of her own, with its truth known.

Owns what an author's way is (a frame, whether the place is named, how it ends, and a word before it for each
subject), and the files, in the layout of OPPU's LaMP-4: a history of articles with their headlines, and
queries. What an article is about decides what a headline says; who wrote it decides how. The word of a
subject can be learned from articles of that subject alone: who retrieves by likeness finds it, and by chance
does not.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from engine.data.layouts.tasks import BY_NAME
from engine.domains.wordlists import read_words

_lists = read_words(__file__, "headlines.yaml")
_QUERY_SHARE = 5  # one article in so many is a query
_FIRST_DAY = date(2024, 1, 1)

Chooser = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class HeadlineSpec:
    """`own` is the chance that a slot of an author's way is her own, drawn evenly; the rest is everybody's.

    `fidelity` is how often she keeps to her way.
    """

    name: str
    question: str
    own: float
    fidelity: float


HEADLINES: Final[Mapping[str, HeadlineSpec]] = {row["name"]: HeadlineSpec(**row) for row in _lists["worlds"]}
SUBJECTS: Final[Mapping[str, Mapping[str, Any]]] = {row["name"]: row for row in _lists["subjects"]}
SLOTS: Final[Mapping[str, tuple[str, ...]]] = {
    **_lists["slots"],
    **{name: subject["kickers"] for name, subject in SUBJECTS.items()},
}
"""What an author has a way for: the parts of a headline, and the word before it for each subject."""


@dataclass(frozen=True, slots=True)
class Author:
    """One persona's truth: `way` maps a slot to what she keeps to (absent: everybody's)."""

    author_id: str
    way: Mapping[str, str]
    fidelity: float

    @property
    def character(self) -> str:
        """What may be known of her beforehand, in words."""
        named = [f'"{self.way[subject]}"' for subject in SUBJECTS if subject in self.way]
        return (
            f"Heads articles with {', '.join(named[:3])}." if named else "Heads articles as everybody does."
        )


@dataclass(frozen=True, slots=True)
class Article:
    """One article, its headline, and those of the two oracles."""

    text: str
    headline: str
    knows_persona: str
    knows_population: str


def draw_author(spec: HeadlineSpec, *, seed: int, index: int) -> Author:
    """Return author `index` of a world; the same arguments always give the same one."""
    rng = random.Random(f"{spec.name}/{seed}/author/{index}")
    way = {slot: rng.choice(ways) for slot, ways in SLOTS.items() if rng.random() < spec.own}
    return Author(f"author_{index:04d}", way, spec.fidelity)


def everybodys(slot: str) -> str:
    """Return the way that the population has of a slot."""
    return SLOTS[slot][0]


def write_article(author: Author, *, seed: int, number: int) -> Article:
    """Return one article of an author."""
    rng = random.Random(f"{author.author_id}/{seed}/article/{number}")
    subject = rng.choice(tuple(SUBJECTS))
    doing, what = rng.choice(SUBJECTS[subject]["doings"])
    who, place = rng.choice(_lists["people"]), rng.choice(_lists["places"])
    told = f"{who} was {doing} {what} in the {place} {rng.choice(_lists['times'])}."
    more = rng.sample(SUBJECTS[subject]["told"], 2)
    more += [rng.choice(_lists["others"])] if rng.random() < 0.5 else []
    rng.shuffle(more)

    def known(slot: str) -> str:
        return author.way.get(slot, everybodys(slot))

    def own(slot: str) -> str:
        kept = known(slot)  # drawn for every slot, so that each costs as much chance
        return kept if rng.random() < author.fidelity else _strayed(slot, rng)

    def headed(choose: Chooser) -> str:
        words = {"who": who, "doing": doing, "what": what, "place": place}
        parts = [choose(subject), *(choose(slot) for slot in ("frame", "place", "tail"))]
        return " ".join(" ".join(parts).format(**words).split())

    return Article(" ".join([told, *more]), headed(own), headed(known), headed(everybodys))


def _strayed(slot: str, rng: random.Random) -> str:
    """What anybody may write: mostly everybody's way."""
    return everybodys(slot) if rng.random() < 0.6 else rng.choice(SLOTS[slot])


def draw_headlines(
    name: str, *, personas: int, dialogues: int, seed: int
) -> Iterator[tuple[Author, list[Article]]]:
    """Yield each author of world `name` with her articles, the oldest first."""
    for index in range(personas):
        author = draw_author(HEADLINES[name], seed=seed, index=index)
        yield author, [write_article(author, seed=seed, number=number) for number in range(dialogues)]


def write_headlines(folder: Path, *, name: str, personas: int, dialogues: int, seed: int) -> None:
    """Write histories, queries, their answers, summaries and truth of a world into `folder` (there already).

    The newest fifth of an author's articles are queries, at least one.
    """
    task, queries = BY_NAME["lamp-4"], max(1, dialogues // _QUERY_SHARE)
    people, golds, summaries, truth = [], [], [], []
    for author, articles in draw_headlines(name, personas=personas, dialogues=dialogues, seed=seed):
        history, asked = articles[: dialogues - queries], articles[dialogues - queries :]
        profile = [
            {"id": f"{number}", "date": _day(number), "text": one.text, "title": one.headline}
            for number, one in enumerate(history)
        ]
        ids = [f"{author.author_id}-{number}" for number in range(len(asked))]
        query = [
            {"id": one_id, "input": task.asks.format(text=one.text)}
            for one_id, one in zip(ids, asked, strict=True)
        ]
        people.append({"user_id": author.author_id, "profile": profile, "query": query})
        golds += [{"id": one_id, "output": one.headline} for one_id, one in zip(ids, asked, strict=True)]
        summaries.append({"output": author.character})
        sessions = [
            *(f"item-{number + 1:04d}" for number in range(len(history))),
            *(f"query-{one}" for one in ids),
        ]
        truth += [
            {
                "example_id": f"{author.author_id}/{session}#1",
                "knows_persona": one.knows_persona,
                "knows_population": one.knows_population,
            }
            for session, one in zip(sessions, articles, strict=True)
        ]
    _write(folder / "user_top_100_history.json", people)
    _write(folder / "user_top_100_history_label.json", {"task": "LaMP_4", "golds": golds})
    _write(folder / "profile_user_100.json", summaries)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in truth)
    (folder / "truth.jsonl").write_text(lines, encoding="utf-8")


def _day(number: int) -> str:
    return (_FIRST_DAY + timedelta(days=number)).isoformat()


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")
