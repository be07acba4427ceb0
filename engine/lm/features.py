"""What personas are told apart by: their character text, their behaviour, both, or their adapters' weights.

Owns `Features`, unit rows whose dot products are likeness. Looks at training dialogues only. Groups nobody:
that is engine.stats.clusters.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from engine.core.errors import EngineError
from engine.core.paths import write_atomically
from engine.core.scripts import apart
from engine.core.types import Dataset, Splits
from engine.data.dataset import examples
from engine.domains.domain import Domain
from engine.lm.retrieve import request_of
from engine.lm.scorer import Scorer

Matrix = NDArray[np.float64]
_LEAST_SHARE = 0.1  # of the personas, who must share a word for it to tell them apart
_WORD = r"[^\W_]+(?:'[^\W_]+)?"


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """`vectors` [n, d] of length 1, in the order of `personas`: their dot products are cosines.

    Centred over the personas, so that likeness is of what sets them apart, not of what all share.
    """

    personas: tuple[str, ...]
    vectors: Matrix

    @property
    def likeness(self) -> Matrix:
        """The cosine of every pair, [n, n], in -1..1."""
        return np.clip(self.vectors @ self.vectors.T, -1.0, 1.0)

    def save(self, path: Path) -> None:
        """Write the features atomically, as arrays without pickles."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, personas=np.array(self.personas), vectors=self.vectors.astype(np.float32))
        write_atomically(path, buffer.getvalue())


def load_features(path: Path) -> Features:
    """Return features saved before. Raises EngineError when the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            personas = tuple(str(name) for name in saved["personas"])
            return Features(personas, saved["vectors"].astype(np.float64))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise EngineError(f"{path} cannot be read: {error}", "Repeat the clustering run.") from error


def character_features(
    dataset: Dataset, splits: Splits, scorer: Scorer, *, on_progress: Callable[[int, int], None] | None = None
) -> Features:
    """Return the scorer's embedding of every character text; personas without one, and those kept out of
    training, are left out."""
    told = [one for one in dataset.personas if one.character and one.persona_id not in splits.unseen]
    vectors = scorer.embed([persona.character or "" for persona in told], on_progress=on_progress)
    return _features([persona.persona_id for persona in told], vectors.astype(np.float64))


def behaviour_features(dataset: Dataset, splits: Splits, domain: Domain) -> Features:
    """Return what each persona's training dialogues ask, do and say; personas without any are left out.

    Half of it is her habits, where the domain knows any, half the words of the replies.
    """
    interactions: dict[str, list[tuple[str, str]]] = {}
    for example in examples(dataset, splits, "train"):
        interactions.setdefault(example.persona_id, []).append((request_of(example), example.reference))
    personas = tuple(interactions)
    parts = [domain.habits(interactions)] if domain.habits else []
    return joined([_features(personas, part) for part in (*parts, words(interactions))])


def words(interactions: Mapping[str, Sequence[tuple[str, str]]]) -> Matrix:
    """Return the words of each persona's replies by tf-idf (log term counts), [personas, words kept].

    The words of requests are left out: they tell how people talk, and no reply has to follow them. So are
    words of fewer than one or more than nine in ten personas. Personas without interactions have no row.
    """
    texts = ["\n".join(reply for _, reply in pairs) for pairs in interactions.values() if pairs]
    if not texts:
        return np.zeros((0, 0))
    table = TfidfVectorizer(sublinear_tf=True, token_pattern=_WORD).fit_transform(map(apart, texts))
    spread = np.asarray((table > 0).sum(axis=0)).ravel()
    kept = (spread >= _LEAST_SHARE * len(texts)) & (spread <= (1 - _LEAST_SHARE) * len(texts))
    return table[:, kept].toarray()


def joined(parts: Sequence[Features]) -> Features:
    """Return several features side by side, each with the same weight.

    A persona that is missing in one of them has the mean (zeros) there.
    """
    personas = tuple(sorted({persona for part in parts for persona in part.personas}))
    rows = {persona: row for row, persona in enumerate(personas)}
    blocks = []
    for part in parts:
        block = np.zeros((len(personas), part.vectors.shape[1]))
        block[[rows[persona] for persona in part.personas]] = part.vectors
        blocks.append(block)
    return _features(personas, np.concatenate(blocks, axis=1))


def adapter_features(personas: Sequence[str], products: Matrix) -> Features:
    """Return the trained adapters as points, from their inner products [n, n] (merge.products).

    Classical scaling of the cosines: an adapter's length says how long it was trained, its direction what for
    (after Ostapenko et al. 2024, "Towards modular LLMs", model-based clustering).
    """
    lengths = np.sqrt(np.maximum(np.diag(products), 1e-24))
    cosines = products / np.outer(lengths, lengths)
    values, axes = np.linalg.eigh((cosines + cosines.T) / 2)
    kept = values > 1e-9 * max(float(values[-1]), 1e-12)
    return _features(personas, axes[:, kept] * np.sqrt(values[kept]))


def _features(personas: Sequence[str], values: Matrix) -> Features:
    """Centre the rows and give each the length 1; a row at the centre stays 0."""
    if not len(values):
        return Features(tuple(personas), values)
    centred = values - values.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return Features(tuple(personas), centred / np.maximum(lengths, 1e-12))
