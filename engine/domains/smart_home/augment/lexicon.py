"""The words augmentation may exchange in what a user says, by lexicon.yaml. Replies are never reworded."""

from engine.domains.wordlists import read_words, split

_LISTS = read_words(__file__, "lexicon.yaml")


def _phrases(name: str) -> tuple[str, ...]:
    return split(_LISTS[name], "|")


def _sets(name: str) -> tuple[tuple[str, ...], ...]:
    return tuple(split(line, "|") for line in _LISTS[name].splitlines())


PHRASES, SENTENCES = _sets("phrases"), _sets("sentences")
LINKS, VERBS = _phrases("links"), frozenset(_LISTS["verbs"].split())
ASKING, TELLING = _phrases("asking"), _phrases("telling")
ALSO_ASKING, ALSO_TELLING = _phrases("also_asking"), _phrases("also_telling")
GIVING, ALSO_GIVING = _phrases("giving"), _phrases("also_giving")
STATE_QUESTIONS = _phrases("state_questions")
LOWERED = frozenset(_LISTS["lowered"].split())
CLUES = {fact: "|".join(split(words)) for fact, words in _LISTS["clues"].items()}
