"""What any study's data are about: words that set each persona apart, scripts, sizes, and a map by words.

Owns these readings, of text alone: whatever the domain, they are told. Words are of what is trained on or
remembered; nothing of test is shown.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.core.types import Dataset, Splits
from engine.data.statistics import WORD

_SHOWN_WORDS = 8
# Two letters at least, with the marks that scripts such as Thai set on them; no numbers.
_WORD = r"[^\W\d_](?:[^\W\d_]|['\u2019\u0300-\u036f\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])+"
_SIGNS = "EMOJI AND SIGNS"
_LEAST_LETTERS = 0.005  # a script of fewer letters is a name or a sign, no language


@dataclass(frozen=True, slots=True)
class Sitter:
    """One persona: how much there is of her, the words that set her apart, and her place on the map."""

    persona_id: str
    dialogues: int
    examples: int
    words: int
    share: float
    distinctive: tuple[str, ...]
    place: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Portrait:
    """The personas, the most dialogues first, and which scripts the letters are of (name -> share)."""

    sitters: tuple[Sitter, ...]
    scripts: Mapping[str, float]


def portrait(dataset: Dataset, splits: Splits) -> Portrait:
    """Return what a dataset is about. Personas with nothing to learn from have no words."""
    from engine.data.dataset import examples_of

    texts: dict[str, list[str]] = {one.persona_id: [] for one in dataset.personas}
    dialogues, examples, words = Counter[str](), Counter[str](), Counter[str]()
    letters: Counter[str] = Counter()
    for row in dataset.dialogues:
        dialogues[row.persona_id] += 1
        examples[row.persona_id] += sum(1 for _ in examples_of(row))
        for message in row.messages:
            letters.update(message.text)
            words[row.persona_id] += len(WORD.findall(message.text))
            if splits.assignment.get(row.dialogue_id) in ("train", "history"):
                texts[row.persona_id].append(message.text)
    people = list(texts)
    distinctive, places = _apart(["\n".join(texts[name]) for name in people])
    total = max(1, dialogues.total())
    sitters = [
        Sitter(
            name,
            dialogues[name],
            examples[name],
            words[name],
            dialogues[name] / total,
            distinctive[at],
            places[at],
        )
        for at, name in enumerate(people)
    ]
    return Portrait(
        tuple(sorted(sitters, key=lambda one: (-one.dialogues, one.persona_id))), scripts_of(letters)
    )


def scripts_of(letters: Mapping[str, int]) -> dict[str, float]:
    """Return script -> share of the letters, as Unicode names them ("LATIN", "THAI", "CJK"); most first."""
    found: Counter[str] = Counter()
    for letter, times in letters.items():
        kind = unicodedata.category(letter)
        if kind == "So":
            found[_SIGNS] += times
        elif letter.isalpha() or kind in ("Mn", "Mc"):
            found[unicodedata.name(letter, "?").split(" ")[0]] += times
    total = found.total()
    return {name: times / total for name, times in found.most_common() if times >= _LEAST_LETTERS * total}


def _apart(texts: list[str]) -> tuple[list[tuple[str, ...]], list[tuple[float, float]]]:
    """Words by tf-idf over the personas, and the two directions in which these differ most."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    nothing: tuple[str, ...] = ()
    reader = TfidfVectorizer(sublinear_tf=True, max_df=0.5 if len(texts) > 2 else 1.0, token_pattern=_WORD)
    try:
        table = reader.fit_transform(texts)
    except ValueError:  # no word is there that not everybody has
        return [nothing] * len(texts), [(0.0, 0.0)] * len(texts)
    names = reader.get_feature_names_out()
    words = []
    for row in table:
        order = np.argsort(-row.data, kind="stable")[:_SHOWN_WORDS]
        words.append(tuple(str(names[row.indices[place]]) for place in order))
    if min(table.shape) < 3:
        return words, [(0.0, 0.0)] * len(texts)
    plane = TruncatedSVD(2, random_state=0).fit_transform(table)
    return words, [(float(x), float(y)) for x, y in plane]
