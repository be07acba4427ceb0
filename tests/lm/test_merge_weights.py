"""Weights of merges: they sum to 1, follow what they are made from, and keep to their clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.domains.chat import CHAT
from engine.domains.smart_home import SMART_HOME
from engine.lm.merge_weights import Mix, average, cluster_average, cluster_weighted, nearest, quality, softmax

PEOPLE = ["a", "b", "c", "d", "e"]
CLUSTERS = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 2}
LIKENESS = np.array(
    [
        [1.0, 0.9, 0.1, 0.8, 0.0],
        [0.9, 1.0, 0.2, 0.3, 0.1],
        [0.1, 0.2, 1.0, 0.7, 0.6],
        [0.8, 0.3, 0.7, 1.0, 0.5],
        [0.0, 0.1, 0.6, 0.5, 1.0],
    ]
)


def of(mixes: list[Mix], name: str) -> Mix:
    return next(mix for mix in mixes if mix.name == name)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 12),
    k=st.none() | st.integers(1, 15),
    temperature=st.floats(0.01, 10),
    own=st.booleans(),
    grouped=st.booleans(),
)
def test_weights_sum_to_one_and_every_persona_gets_one_merge(
    seed: int, n: int, k: int | None, temperature: float, own: bool, grouped: bool
) -> None:
    rng = np.random.default_rng(seed)
    people = [f"p{i}" for i in range(n)]
    points = rng.normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = {name: int(rng.integers(3)) for name in people}
    score = dict(zip(people, rng.random(n), strict=True))
    near = nearest(
        people,
        points @ points.T,
        k=k,
        temperature=temperature,
        own=own,
        assignment=labels if grouped else None,
    )
    for mixes in (
        average(people),
        cluster_average(labels),
        cluster_weighted(labels, score, temperature=temperature),
        near,
    ):
        assert sorted(member for mix in mixes for member in mix.members) == sorted(people)
        for mix in mixes:
            assert math.isclose(sum(mix.weights.values()), 1.0, abs_tol=1e-12)
            assert all(weight > 0 for weight in mix.weights.values())
            assert list(mix.weights.values()) == sorted(mix.weights.values(), reverse=True)
            assert 1 - 1e-9 <= mix.effective <= len(mix.weights) + 1e-9
    if grouped:
        assert all(labels[name] == labels[mix.name] for mix in near for name in mix.weights)


def test_the_average_gives_everybody_the_same() -> None:
    (mix,) = average(PEOPLE)
    assert dict(mix.weights) == dict.fromkeys(PEOPLE, 0.2)
    assert mix.effective == pytest.approx(5)


def test_cluster_averages_stay_within_their_cluster() -> None:
    mixes = cluster_average(CLUSTERS)
    assert [(mix.name, mix.members) for mix in mixes] == [
        ("cluster-0", ("a", "b", "c")),
        ("cluster-1", ("d",)),
        ("cluster-2", ("e",)),
    ]
    assert dict(of(mixes, "cluster-1").weights) == {"d": 1.0}


def test_weighted_merges_are_a_softmax_of_the_scores() -> None:
    score = {"a": 0.9, "b": 0.6, "c": 0.6, "d": 0.1, "e": 0.1}
    weights = of(cluster_weighted(CLUSTERS, score, temperature=0.3), "cluster-0").weights
    assert weights["a"] / weights["b"] == pytest.approx(math.exp(1.0))
    assert weights["b"] == pytest.approx(weights["c"])
    even = of(cluster_weighted(CLUSTERS, score, temperature=100), "cluster-0").weights
    assert max(even.values()) - min(even.values()) < 0.002


def test_sparse_moe_takes_the_nearest_of_the_own_cluster() -> None:
    mixes = nearest(PEOPLE, LIKENESS, k=2, temperature=0.5, assignment=CLUSTERS)
    assert list(of(mixes, "a").weights) == ["a", "b"]  # d is nearer than c, but in another cluster
    assert list(of(mixes, "d").weights) == ["d"]
    shares = of(mixes, "a").weights
    assert shares["a"] / shares["b"] == pytest.approx(math.exp(0.1 / 0.5))


def test_without_her_own_a_persona_has_neighbours_only_unless_she_is_alone() -> None:
    mixes = nearest(PEOPLE, LIKENESS, k=2, temperature=0.5, own=False, assignment=CLUSTERS)
    assert list(of(mixes, "a").weights) == ["b", "c"]
    assert list(of(mixes, "e").weights) == ["e"]


def test_global_top_k_and_soft_cross_clusters() -> None:
    assert list(of(nearest(PEOPLE, LIKENESS, k=3, temperature=0.5), "a").weights) == ["a", "b", "d"]
    assert set(of(nearest(PEOPLE, LIKENESS, k=None, temperature=0.5), "a").weights) == set(PEOPLE)


def test_quality_counts_distinct_interactions_that_name_a_device() -> None:
    told = {
        "a": [("Lights?", "The lights are on."), ("TV?", "The TV is on."), ("Hi", "Hello!")],
        "b": [("Lights?", "The lights are on."), ("Lights?", "The lights are on.")],
        "c": [("Hi", "Hello!")],
    }
    assert quality(told, SMART_HOME.is_useful) == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert quality(told, CHAT.is_useful) == {"a": 1.0, "b": 1 / 3, "c": 1 / 3}
    assert quality({"c": [("Hi", "Hello!")]}, SMART_HOME.is_useful) == {"c": 1.0}


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(EngineError, match="temperature"):
        softmax(np.array([1.0, 2.0]), 0.0)
