"""The words of the app and of its field (glossary.yaml), each defined once: for help beside pages, and for
the reference.

Owns what each means and on which pages it is met. Two words never mean one thing.
"""

from dataclasses import dataclass

from engine.domains.wordlists import read_words


@dataclass(frozen=True, slots=True)
class Word:
    """A word, what it means in a sentence or two, and the pages (by their titles) where it is met."""

    name: str
    meaning: str
    pages: tuple[str, ...]


WORDS = tuple(Word(name, *told) for name, told in read_words(__file__, "glossary.yaml").items())


def met_on(page: str) -> tuple[Word, ...]:
    """Return the words that are met on a page, in the order in which they build on each other."""
    return tuple(word for word in WORDS if page in word.pages)


def as_lines(words: tuple[Word, ...]) -> str:
    """Return words with their meanings as a list in Markdown."""
    return "\n".join(f"- **{word.name}**: {word.meaning}" for word in words)
