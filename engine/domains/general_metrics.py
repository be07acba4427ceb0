"""Metrics that know no domain: how near a reply is to the reference, and how long it is beside it."""

import numpy as np
from numpy.typing import NDArray

from engine.core.scripts import words_of
from engine.domains.metric import Metric


def _cosines(replies: NDArray[np.float32], references: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of each unit vector with its reference's, in -1..1."""
    return np.clip(np.einsum("nd,nd->n", replies, references), -1, 1)


def _length_ratio(reply: str, reference: str) -> float | None:
    """Words of the reply over words of the reference; None for an empty reference."""
    words = len(words_of(reference))
    return len(words_of(reply)) / words if words else None


METRICS = (
    Metric(
        name="embedding_similarity",
        label="Embedding similarity",
        help="Cosine of the sentence embeddings of the reply and the reference.",
        version="1",
        short="similarity",
        of_embeddings=_cosines,
    ),
    Metric(
        name="length_ratio",
        label="Length ratio",
        help="Words of the reply over the reference's; letters, where a script puts no spaces between words.",
        version="2",
        unit="ratio",
        higher_is_better=None,
        short="length",
        of_texts=_length_ratio,
    ),
)
