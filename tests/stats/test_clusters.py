"""Clusters of points whose groups are known, and of points that have none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from engine.core.errors import EngineError
from engine.stats.clusters import Method, centrality, cluster, in_order, principal_plane

METHODS: list[Method] = ["k-means", "agglomerative"]


def blobs(groups: int, each: int, *, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, 12))
    truth = np.tile(np.arange(groups), each)
    return centres[truth] + spread * rng.normal(size=(groups * each, 12)), truth


@pytest.mark.parametrize("method", METHODS)
def test_groups_that_exist_are_found_without_a_warning(method: Method) -> None:
    vectors, truth = blobs(4, 15, spread=0.2)
    found = cluster(vectors, [2, 3, 4, 6, 8], method=method, seed=1)
    assert found.k == 4
    assert adjusted_rand_score(truth, found.labels) == 1.0
    assert found.sizes == (15, 15, 15, 15)
    assert found.labels[:4].tolist() == [0, 1, 2, 3]
    assert found.stability == pytest.approx(1.0)
    assert found.warning is None
    assert [one.k for one in found.candidates] == [2, 3, 4, 6, 8]
    assert found.silhouette == max(one.silhouette for one in found.candidates) > 0.6
    assert (found.centrality > 0.9).all()


@pytest.mark.parametrize("method", METHODS)
def test_points_without_groups_are_said_to_have_none(method: Method) -> None:
    vectors = np.random.default_rng(3).normal(size=(60, 30))
    found = cluster(vectors, [5, 10], method=method, seed=1)
    assert found.warning is not None
    assert found.warning.startswith("There are no clusters here")
    assert f"{found.silhouette:.3f}" in found.warning
    assert found.silhouette < 0.07
    assert found.stability < 0.9


def test_overlapping_groups_are_called_weak() -> None:
    vectors, _ = blobs(3, 30, spread=1.0, seed=2)
    found = cluster(vectors, [3], method="k-means", seed=0)
    assert found.warning is not None
    assert found.warning.startswith("The clusters are weak")


def test_the_same_seed_gives_the_same_clusters() -> None:
    vectors = np.random.default_rng(5).normal(size=(40, 8))
    one, other = (cluster(vectors, [4, 6], method="k-means", seed=9) for _ in range(2))
    assert one.labels.tolist() == other.labels.tolist()
    assert (one.silhouette, one.silhouette_shuffled, one.stability) == (
        other.silhouette,
        other.silhouette_shuffled,
        other.stability,
    )


def test_numbers_of_clusters_that_cannot_be_are_passed_over_or_refused() -> None:
    vectors, _ = blobs(2, 3, spread=0.1)
    assert cluster(vectors, [2, 25], method="k-means", seed=0).k == 2
    with pytest.raises(EngineError) as caught:
        cluster(vectors, [6, 25], method="k-means", seed=0)
    assert caught.value.message == "6 personas cannot be split into 6 or 25 clusters."
    with pytest.raises(EngineError, match="do not differ enough"):
        cluster(np.ones((9, 4)), [2], method="k-means", seed=0)


def test_labels_are_named_in_the_order_of_their_first_members() -> None:
    assert in_order(np.array([7, 7, 2, 9, 2])).tolist() == [0, 0, 1, 2, 1]


def test_centrality_is_the_cosine_to_the_clusters_mean() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -3.0]])
    found = centrality(vectors, np.array([0, 0, 1]))
    assert found == pytest.approx([np.sqrt(0.5), np.sqrt(0.5), 1.0])


def test_the_map_keeps_the_largest_distances_and_its_sign() -> None:
    rng = np.random.default_rng(0)
    plane = np.zeros((20, 6))
    plane[:, 2], plane[:, 4] = 10 * rng.normal(size=20), 3 * rng.normal(size=20)
    found = principal_plane(plane)
    assert found.shape == (20, 2)
    distances = [np.linalg.norm(points[:, None] - points[None], axis=2) for points in (plane, found)]
    assert np.allclose(*distances)
    assert np.allclose(principal_plane(plane[::-1]), found[::-1])


def test_data_without_groups_is_compared_with_the_best_of_as_many_tries() -> None:
    """The more numbers of clusters are tried, the higher the best silhouette, shuffled or not."""
    vectors = np.random.default_rng(11).normal(size=(24, 3))
    ks = list(range(2, 13))
    found = cluster(vectors, ks, method="k-means", seed=0)
    alone = [cluster(vectors, [k], method="k-means", seed=0).silhouette_shuffled for k in ks]
    assert found.silhouette_shuffled >= max(alone) - 1e-9
