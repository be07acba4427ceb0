"""The metrics of answers, as the LaMP family scores them: texts by overlap, labels by being right, ratings by
their error.

ROUGE is Google's rouge-score without stemming, BLEU and chrF are sacrebleu's, METEOR is nltk's without
WordNet (its synonyms would have to be downloaded): a word is matched as it stands or by its stem. Scripts
without spaces between words are read letter by letter, and by ROUGE not at all. Labels and
ratings are read as LaMP's evaluator reads them. Loads a library when the first reply is scored.
"""

import math
import re
from collections.abc import Mapping
from functools import cache, lru_cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.core.scripts import apart, words_of
from engine.domains.metric import Metric
from engine.domains.numbers import whole_number

Sums = Mapping[str, NDArray[np.float64]]
LOWEST, HIGHEST = 1.0, 5.0
"""The ends of the scale that ratings are given on."""
_ORDERS: Final = (1, 2, 3, 4)


# --- texts


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=False)


@lru_cache(maxsize=65_536)
def _rouges(reply: str, reference: str) -> Mapping[str, float] | None:
    """F1 of both kinds; None where most words of the reference are none to rouge-score, which knows Latin
    letters and digits: of "iPhone" in a Chinese sentence nothing follows for the rest.
    """
    words = [word for word in words_of(reference.lower()) if re.search(r"\w", word)]
    read = sum(re.search(r"[a-z0-9]", word) is not None for word in words)
    if not read or 2 * read < len(words):
        return None
    return {kind: score.fmeasure for kind, score in _rouge().score(reference, reply).items()}


def _rouge_of(kind: str, reply: str, reference: str) -> float | None:
    found = _rouges(reply, reference)
    return None if found is None else found[kind]


class _NoSynonyms:
    """Stands where nltk asks WordNet."""

    def synsets(self, word: str) -> list[Any]:
        """Return no meaning of a word."""
        return []


def _meteor(reply: str, reference: str) -> float | None:
    from nltk.translate.meteor_score import meteor_score

    said, held = _words(reply), _words(reference)
    return float(meteor_score([held], said, wordnet=_NoSynonyms())) if held else None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", apart(text.lower()))


@cache
def _sacre() -> tuple[Any, Any]:
    from sacrebleu.metrics import BLEU, CHRF

    return BLEU(effective_order=True), CHRF()


def _chrf(reply: str, reference: str) -> float | None:
    return float(_sacre()[1].sentence_score(reply, [reference]).score) / 100 if reference.strip() else None


def _bleu_counts(reply: str, reference: str) -> dict[str, float]:
    """What BLEU adds up: lengths of both, and matched and possible n-grams of each order."""
    found = _sacre()[0].sentence_score(apart(reply), [apart(reference)])
    matched = {f"matched {n}": float(found.counts[n - 1]) for n in _ORDERS}
    possible = {f"possible {n}": float(found.totals[n - 1]) for n in _ORDERS}
    return {"reply": float(found.sys_len), "reference": float(found.ref_len), **matched, **possible}


def _bleu(sums: Sums) -> NDArray[np.float64]:
    """BLEU of each sum of counts, with sacrebleu's exponential smoothing (Chen & Cherry 2014, method 3)."""
    said, held = sums["reply"], sums["reference"]
    halved, logs, any_match = np.ones_like(said), np.zeros_like(said), np.zeros(said.shape, bool)
    possible_all = np.ones(said.shape, bool)
    for n in _ORDERS:
        matched, possible = sums[f"matched {n}"], sums[f"possible {n}"]
        possible_all &= possible > 0
        any_match |= matched > 0
        halved = np.where(matched > 0, halved, halved * 2)
        share = np.where(matched > 0, matched, 1 / halved) / np.maximum(possible, 1)
        logs += np.log(share) / len(_ORDERS)
    short = np.where(said < held, np.exp(1 - held / np.maximum(said, 1e-9)), 1.0)
    found = np.where(any_match & possible_all, short * np.exp(logs), 0.0)
    return np.where(held > 0, found, np.nan)


# --- labels


def label_of(text: str) -> str:
    """Return an answer as a label: whatever its case and the space around it."""
    return " ".join(text.split()).casefold()


def _is_right(reply: str, reference: str) -> float | None:
    return float(label_of(reply) == label_of(reference)) if reference.strip() else None


def _hits(reply: str, reference: str) -> dict[str, float]:
    said, held = label_of(reply), label_of(reference)
    if said == held:
        return {f"right {held}": 1.0}
    return {f"missed {held}": 1.0, f"wrong {said}": 1.0}


def _macro_f1(sums: Sums) -> NDArray[np.float64]:
    """The mean F1 of the labels that the references hold; a label nobody was given has none."""
    nothing = np.zeros(len(next(iter(sums.values()))))
    labels = {name.partition(" ")[2] for name in sums if not name.startswith("wrong ")}
    total, held_by = nothing.copy(), nothing.copy()
    for label in sorted(labels):
        right, missed, wrong = (sums.get(f"{kind} {label}", nothing) for kind in ("right", "missed", "wrong"))
        there = right + missed > 0
        total += np.where(there, 2 * right / np.maximum(2 * right + missed + wrong, 1e-9), 0.0)
        held_by += there
    return np.where(held_by > 0, total / np.maximum(held_by, 1), np.nan)


# --- ratings


def error_of(reply: str, reference: str) -> float | None:
    """Return how far a rating is off; one that cannot be read is as far as the farther end of the scale.

    One off the scale is as far as it is (21 for 4: 17), as to LaMP's evaluator.
    """
    held, said = rating_of(reference), rating_of(reply)
    if held is None:
        return None
    return abs(held - said) if said is not None else max(held - LOWEST, HIGHEST - held)


def rating_of(text: str) -> float | None:
    """Return the number that a text is, None for none: as people write one (4,5), else as LaMP's evaluator
    takes it (+4, ５).
    """
    found = whole_number(text)
    if found is None:
        try:
            found = float(text)
        except ValueError:
            return None
    return found if math.isfinite(found) else None


def _squared(reply: str, reference: str) -> dict[str, float]:
    error = error_of(reply, reference)
    return {"squared": 0.0, "n": 0.0} if error is None else {"squared": error**2, "n": 1.0}


def _root(sums: Sums) -> NDArray[np.float64]:
    n = sums["n"]
    return np.where(n > 0, np.sqrt(sums["squared"] / np.maximum(n, 1)), np.nan)


METRICS = (
    Metric(
        name="rouge_l",
        label="ROUGE-L",
        help="F1 of the longest common subsequence of words (rouge-score, no stemming); Latin letters only.",
        version="2",
        domains=("tasks",),
        short="ROUGE-L",
        of_texts=partial(_rouge_of, "rougeL"),
    ),
    Metric(
        name="rouge_1",
        label="ROUGE-1",
        help="F1 of the words that reply and reference share (rouge-score, no stemming); Latin letters only.",
        version="2",
        domains=("tasks",),
        short="ROUGE-1",
        of_texts=partial(_rouge_of, "rouge1"),
    ),
    Metric(
        name="meteor",
        label="METEOR",
        help="Words matched as they stand or by stem, in order (nltk, without WordNet's synonyms).",
        version="2",
        domains=("tasks",),
        of_texts=_meteor,
    ),
    Metric(
        name="bleu",
        label="BLEU",
        help="BLEU of all replies together (sacrebleu, 13a); intervals draw personas.",
        version="2",
        domains=("tasks",),
        counts=_bleu_counts,
        total=_bleu,
    ),
    Metric(
        name="chrf",
        label="chrF",
        help="F score of shared character n-grams (sacrebleu, chrF2), for any script.",
        version="1",
        domains=("tasks",),
        of_texts=_chrf,
    ),
    Metric(
        name="label_accuracy",
        label="Accuracy",
        help="1 when the reply is the reference's label, whatever its case.",
        version="1",
        domains=("tasks-labels", "tasks-ratings"),
        short="right",
        of_texts=_is_right,
    ),
    Metric(
        name="label_macro_f1",
        label="Macro-F1",
        help="Mean F1 over the labels that the references hold; intervals draw personas.",
        version="1",
        domains=("tasks-labels",),
        short="macro-F1",
        counts=_hits,
        total=_macro_f1,
    ),
    Metric(
        name="rating_mae",
        label="MAE",
        help="Mean absolute error of the rating; one that cannot be read counts as the farther of 1 and 5, "
        "one off the scale as it stands.",
        version="2",
        unit="number",
        higher_is_better=False,
        domains=("tasks-ratings",),
        short="MAE",
        of_texts=error_of,
    ),
    Metric(
        name="rating_rmse",
        label="RMSE",
        help="Root of the mean squared error of the rating, over all replies; intervals draw personas.",
        version="2",
        unit="number",
        higher_is_better=False,
        domains=("tasks-ratings",),
        short="RMSE",
        counts=_squared,
        total=_root,
    ),
)
