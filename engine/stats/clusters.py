"""Groups of like personas: k-means or agglomerative, how sharp the groups are, and how firmly they stand.

Owns what a clustering says of itself, the warning among it. Knows vectors only, not where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

from engine.core.errors import EngineError
from engine.core.wording import count

Vectors = NDArray[np.float64]
Labels = NDArray[np.int64]
Method = Literal["k-means", "agglomerative"]

NO_STRUCTURE = 0.25  # Kaufman and Rousseeuw (1990): below it, "no substantial structure has been found"
NOTHING = 0.05  # a silhouette this low is none, whatever shuffled data gives
_STARTS = 10
_SHUFFLES = 3
_SUBSAMPLE = 0.9
_GAP = 0.02


@dataclass(frozen=True, slots=True)
class Candidate:
    """One number of clusters tried, and its mean silhouette (-1..1)."""

    k: int
    silhouette: float


@dataclass(frozen=True, slots=True)
class Clustering:
    """The best number of clusters and who is in which; labels run from 0 in the order of first members.

    `silhouette_shuffled` is what the same procedure, its choice of k included, finds where there are no
    groups (each column shuffled over the personas). `stability` is the mean adjusted Rand index between
    repetitions with other seeds (k-means) or on other subsamples of 9 in 10 personas (agglomerative).
    `centrality` is each persona's cosine to her cluster's mean; `plane` [n, 2] the two first principal
    components, for a map.
    """

    method: Method
    k: int
    labels: Labels
    silhouette: float
    silhouette_shuffled: float
    candidates: tuple[Candidate, ...]
    stability: float
    centrality: Vectors
    plane: Vectors

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(int(count) for count in np.bincount(self.labels, minlength=self.k))

    @property
    def warning(self) -> str | None:
        """Return what to beware of, in one sentence; None where the groups are sharp."""
        found = f"silhouette {self.silhouette:.3f}; shuffled data gives {self.silhouette_shuffled:.3f}"
        if self.silhouette <= max(NOTHING, self.silhouette_shuffled + _GAP):
            return f"There are no clusters here ({found}): any grouping is as good as this one."
        if self.silhouette < NO_STRUCTURE:
            return f"The clusters are weak ({found}; below {NO_STRUCTURE} they overlap broadly)."
        return None


def cluster(
    vectors: Vectors, ks: Sequence[int], *, method: Method, seed: int, repeats: int = 5
) -> Clustering:
    """Group the rows of `vectors` [n, d] into the k of `ks` with the highest silhouette (first of ties).

    Numbers of clusters that n personas cannot form (k >= n) are passed over. Raises EngineError when none is
    left, or when the rows do not differ.
    """
    n = len(vectors)
    wanted = [k for k in dict.fromkeys(ks) if 2 <= k < n]
    if not wanted:
        raise too_few(n, ks)
    if len(np.unique(vectors, axis=0)) <= max(wanted):
        raise EngineError(
            "The personas do not differ enough to be grouped: too many of them have the same features.",
            "Choose other features, or fewer clusters.",
        )
    grouped = {k: _labels(vectors, k, method, seed) for k in wanted}
    candidates = tuple(Candidate(k, _silhouette(vectors, labels)) for k, labels in grouped.items())
    best = max(candidates, key=lambda candidate: candidate.silhouette)
    labels = in_order(grouped[best.k])
    return Clustering(
        method=method,
        k=best.k,
        labels=labels,
        silhouette=best.silhouette,
        silhouette_shuffled=_shuffled(vectors, wanted, method, seed),
        candidates=candidates,
        stability=_stability(vectors, best.k, method, seed=seed, repeats=repeats),
        centrality=centrality(vectors, labels),
        plane=principal_plane(vectors),
    )


def too_few(n: int, ks: Sequence[int]) -> EngineError:
    """Return the refusal of numbers of clusters of which n personas can form none."""
    return EngineError(
        f"{count(n, 'persona')} cannot be split into {' or '.join(map(str, ks))} clusters.",
        f"Choose numbers from 2 to {n - 1}: python -m engine run clustering --set k=2"
        if n > 2
        else "Clusters need three personas or more.",
    )


def in_order(labels: Labels) -> Labels:
    """Return the labels renamed so that they first appear as 0, 1, 2, ..."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    renamed: Labels = rank[inverse].astype(np.int64)
    return renamed


def centrality(vectors: Vectors, labels: Labels) -> Vectors:
    """Return each row's cosine to the mean of its cluster, in -1..1 (1 for a cluster of one)."""
    means = np.stack([vectors[labels == label].mean(axis=0) for label in range(labels.max() + 1)])[labels]
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(means, axis=1)
    cosines: Vectors = np.einsum("nd,nd->n", vectors, means) / np.maximum(lengths, 1e-12)
    return np.clip(cosines, -1.0, 1.0)


def principal_plane(vectors: Vectors) -> Vectors:
    """Return the rows in their two first principal components, [n, 2]; the largest row fixes the sign."""
    centred = vectors - vectors.mean(axis=0)
    left, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(vectors), 2))
    shown = min(2, len(strengths))
    plane[:, :shown] = left[:, :shown] * strengths[:shown]
    largest = plane[np.abs(plane).argmax(axis=0), [0, 1]]
    return plane * np.where(largest < 0, -1.0, 1.0)


def _labels(vectors: Vectors, k: int, method: Method, seed: int) -> Labels:
    if method == "agglomerative":
        found = AgglomerativeClustering(n_clusters=k, linkage="ward").fit_predict(vectors)
    else:
        found = KMeans(n_clusters=k, n_init=_STARTS, random_state=seed).fit_predict(vectors)
    return np.asarray(found, dtype=np.int64)


def _silhouette(vectors: Vectors, labels: Labels) -> float:
    if not 2 <= len(np.unique(labels)) < len(labels):
        return -1.0
    return float(silhouette_score(vectors, labels))


def _shuffled(vectors: Vectors, ks: Sequence[int], method: Method, seed: int) -> float:
    """Return the best silhouette over `ks`, chosen as in the data, where each column is shuffled over the
    rows: its marginals, no groups."""
    rng = np.random.default_rng(seed)
    # In the axes of the data itself, so that correlated columns do not count as structure lost.
    left, strengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    scores = left * strengths
    found = []
    for _ in range(_SHUFFLES):
        mixed = rng.permuted(scores, axis=0)
        found.append(max(_silhouette(mixed, _labels(mixed, k, method, seed)) for k in ks))
    return float(np.mean(found))


def _stability(vectors: Vectors, k: int, method: Method, *, seed: int, repeats: int) -> float:
    """Return the mean adjusted Rand index over all pairs of repetitions (Hubert and Arabie 1985)."""
    n = len(vectors)
    rng = np.random.default_rng(seed)
    tries: list[Labels] = []
    for repeat in range(repeats):
        rows = np.arange(n)
        if method == "agglomerative":
            rows = np.sort(rng.choice(n, size=max(k + 1, round(_SUBSAMPLE * n)), replace=False))
        labels = np.full(n, -1, dtype=np.int64)
        labels[rows] = _labels(vectors[rows], k, method, seed + 1 + repeat)
        tries.append(labels)
    return float(np.mean([_agreement(one, other) for one, other in combinations(tries, 2)]))


def _agreement(one: Labels, other: Labels) -> float:
    both = (one >= 0) & (other >= 0)
    return float(adjusted_rand_score(one[both], other[both]))
