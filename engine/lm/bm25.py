"""BM25 over one person's requests: the baseline retriever of the field, which needs no model.

Owns the weighting (Robertson & Zaragoza 2009, k1 = 1.5 and b = 0.75, with an idf that is never negative).
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import spmatrix
from sklearn.feature_extraction.text import CountVectorizer

from engine.core.scripts import apart

_K1, _B = 1.5, 0.75
_WORD: Final = r"(?u)\w+"


class Bm25:
    """The words of some texts; a range of the texts is asked for by place, and weighted as if it were all."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = CountVectorizer(token_pattern=_WORD)
        is_worded = any(re.search(_WORD, one) for one in texts)
        self._counts = self._words.fit_transform(map(apart, texts)) if is_worded else None
        self._lengths = np.zeros(len(texts)) if self._counts is None else _sums(self._counts)

    def scores(self, request: str, first: int = 0, end: int | None = None) -> NDArray[np.float64]:
        """Return the score of each text from `first` to before `end` for a request; 0 where they share no
        word."""
        lengths = self._lengths[first:end]
        if self._counts is None or not lengths.any():
            return np.zeros(len(lengths))
        asked = self._words.transform([apart(request)])
        held = self._counts[first:end][:, asked.indices].toarray()
        having = (held > 0).sum(axis=0)
        idf = np.log1p((len(held) - having + 0.5) / (having + 0.5))
        spread = _K1 * (1 - _B + _B * lengths / lengths.mean())
        weights = idf * held * (_K1 + 1) / (held + spread[:, None])
        return np.asarray(weights @ asked.data, dtype=np.float64)


def _sums(counts: spmatrix) -> NDArray[np.float64]:
    return np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
