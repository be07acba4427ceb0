"""The distilled hypernetwork beside ridge regression written out on whole matrices."""

from __future__ import annotations

import numpy as np
import pytest

from engine.lm.hypernetwork import best, for_stranger, predicted

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(7, 4))
CHANGES = RANDOM.normal(size=(7, 30))


def ridge_regression(x: np.ndarray, y: np.ndarray, asked: np.ndarray, ridge: float) -> np.ndarray:
    """The primal form: (X'X + ridge I)^-1 X'Y on centred values, the mean added back."""
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    centred = x - x_mean
    slopes = np.linalg.solve(centred.T @ centred + ridge * np.eye(x.shape[1]), centred.T @ (y - y_mean))
    return y_mean + (asked - x_mean) @ slopes


@pytest.mark.parametrize("ridge", [0.01, 1.0, 50.0])
def test_it_is_ridge_regression_on_the_changes(ridge: float) -> None:
    weights = predicted(FEATURES, ridge, own=True)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    for row in range(7):
        expected = ridge_regression(FEATURES, CHANGES, FEATURES[row], ridge)
        np.testing.assert_allclose(weights[row] @ CHANGES, expected, atol=1e-9)


def test_an_unseen_personas_own_adapter_never_takes_part() -> None:
    weights = predicted(FEATURES, 0.5, own=False)
    assert (np.diag(weights) == 0).all()
    for row in range(7):
        others = [place for place in range(7) if place != row]
        expected = ridge_regression(FEATURES[others], CHANGES[others], FEATURES[row], 0.5)
        np.testing.assert_allclose(weights[row] @ CHANGES, expected, atol=1e-9)


def test_a_stranger_gets_what_those_it_knows_get_without_their_own() -> None:
    weights = for_stranger(FEATURES, 0.5)
    np.testing.assert_allclose(weights, predicted(FEATURES, 0.5, own=False)[-1, :-1])
    expected = ridge_regression(FEATURES[:-1], CHANGES[:-1], FEATURES[-1], 0.5)
    np.testing.assert_allclose(weights @ CHANGES[:-1], expected, atol=1e-9)


def test_what_features_tell_is_found_and_what_they_do_not_is_left() -> None:
    features = RANDOM.normal(size=(40, 3))
    told = features @ RANDOM.normal(size=(3, 25))
    noise = RANDOM.normal(size=(40, 25))
    fit = best(features, told @ told.T, [0.01, 1.0, 100.0], own=False)
    assert fit.explained > 0.95
    assert fit.ridge == 0.01
    nothing = best(features, noise @ noise.T, [0.01, 1.0, 1e6], own=False)
    assert abs(nothing.explained) < 0.05
    assert nothing.ridge == 1e6
    np.testing.assert_allclose(nothing.weights[0, 1:], 1 / 39, atol=1e-3)


def test_one_persona_alone_keeps_her_own() -> None:
    np.testing.assert_allclose(predicted(FEATURES[:1], 1.0, own=False), [[1.0]])
