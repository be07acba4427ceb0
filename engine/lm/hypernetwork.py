"""From what is known of a persona to her adapter: a linear hypernetwork, distilled from adapters that exist.

Ridge regression of the adapters' changes B A on the personas' features, in its dual form: what it predicts
is a weighted sum of the adapters it was fitted to, so no B A is ever formed and it is an exact merge. A
persona's prediction need not know her own adapter: so is what an unseen persona would get. Pure algebra.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """One ridge: `weights` [n, n] of the adapters in each persona's prediction; a row sums to 1.

    `explained` is the share of what tells the adapters from their mean that predictions get right: below 0
    they are worse than the mean of the adapters they know.
    """

    ridge: float
    weights: Matrix
    explained: float


def predicted(features: Matrix, ridge: float, *, own: bool) -> Matrix:
    """Return the weights [n, n] of all adapters in each persona's prediction, from features [n, d].

    Features and changes are centred over those it is fitted to. Without `own` a persona's row is fitted to
    all others (and is her own adapter where there is nobody else).
    """
    return np.stack([_weights(features, row, ridge, own=own) for row in range(len(features))])


def for_stranger(features: Matrix, ridge: float) -> NDArray[np.float64]:
    """Return the weights [n - 1] in the prediction for the last of n rows of features, whose adapter does not
    exist: what `predicted` gives those that it knows, without their own."""
    return _weights(features, len(features) - 1, ridge, own=False)[:-1]


def _weights(features: Matrix, row: int, ridge: float, *, own: bool) -> NDArray[np.float64]:
    known = np.array([place for place in range(len(features)) if own or place != row] or [row])
    mean = features[known].mean(axis=0)
    centred = features[known] - mean
    kernel = centred @ centred.T + ridge * np.eye(len(known))
    pulls = np.linalg.solve(kernel, centred @ (features[row] - mean))
    weights = np.zeros(len(features))
    weights[known] = 1.0 / len(known) + pulls - pulls.mean()
    return weights


def best(features: Matrix, products: Matrix, ridges: Sequence[float], *, own: bool) -> Fit:
    """Return the fit that predicts adapters it does not know best; of equal ones that of the largest ridge.

    `products` [n, n] are the adapters' inner products. Reads neither val nor test: the adapters, made from
    train, are what is predicted.
    """
    mean = _error(predicted(np.zeros_like(features), 1.0, own=False), products)
    found = []
    for ridge in sorted(ridges):
        error = _error(predicted(features, ridge, own=False), products)
        explained = 1.0 - error / mean if mean > 0 else 0.0
        found.append(Fit(ridge, predicted(features, ridge, own=own), explained))
    return max(reversed(found), key=lambda fit: fit.explained)


def _error(weights: Matrix, products: Matrix) -> float:
    """The summed squared distance of each adapter to its weighted sum, from inner products alone."""
    gap = np.eye(len(weights)) - weights
    return float(np.einsum("ij,jk,ik->", gap, products, gap))
