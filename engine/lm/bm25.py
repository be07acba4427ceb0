"""BM25 over one person's requests: the baseline retriever of the field, which needs no model.

Owns the weighting (Robertson & Zaragoza 2009, k1 = 1.5 and b = 0.75, with an idf that is never negative).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

_K1, _B = 1.5, 0.75
_WORD: Final = r"(?u)\w+"


class Bm25:
    """The words of some texts, weighted; the texts are asked for by their place."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._n = len(texts)
        self._words = (
            CountVectorizer(token_pattern=_WORD) if any(re.search(_WORD, one) for one in texts) else None
        )
        if self._words is None:
            return
        counts = self._words.fit_transform(texts).tocoo()
        lengths = np.bincount(counts.row, weights=counts.data, minlength=self._n)
        held_by = np.bincount(counts.col, minlength=counts.shape[1])
        idf = np.log1p((self._n - held_by + 0.5) / (held_by + 0.5))
        spread = _K1 * (1 - _B + _B * lengths / lengths.mean())
        counts.data = idf[counts.col] * counts.data * (_K1 + 1) / (counts.data + spread[counts.row])
        self._weights = counts.tocsr()

    def scores(self, request: str) -> NDArray[np.float64]:
        """Return the score of each text for a request, [n]; 0 where they share no word."""
        if self._words is None:
            return np.zeros(self._n)
        asked = self._words.transform([request])
        return np.asarray((self._weights @ asked.T).toarray()).ravel()
