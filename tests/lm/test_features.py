"""Features of personas: what is looked at, and that archetypes of a world can be found by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from engine.core.errors import EngineError
from engine.core.types import Dataset, Message, Persona, Splits
from engine.data import load_dataset, load_splits
from engine.data.worlds import WORLDS
from engine.data.worlds.households import draw_household
from engine.domains.chat import CHAT
from engine.domains.smart_home import SMART_HOME
from engine.lm.features import (
    Features,
    adapter_features,
    behaviour_features,
    character_features,
    joined,
    load_features,
    words,
)
from engine.lm.scorer import Scorer
from engine.stats.clusters import cluster
from tests.tiny_base import prepare_study

PERSONAS = 24


@pytest.fixture(scope="module")
def world(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Splits]:
    """A small world of archetypes."""
    ws = prepare_study(
        tmp_path_factory.mktemp("types"), tiny_base, world="archetypes", personas=PERSONAS, dialogues=12
    )
    return load_dataset(ws), load_splits(ws)


def test_archetypes_are_found_by_behaviour(world: tuple[Dataset, Splits]) -> None:
    features = behaviour_features(*world, SMART_HOME)
    truth = [draw_household(WORLDS["archetypes"], seed=0, index=i).archetype for i in range(PERSONAS)]
    found = cluster(features.vectors, [2, 3, 5, 8], method="k-means", seed=0)
    assert found.k == len(set(truth)) == 5
    assert adjusted_rand_score(truth, found.labels) > 0.9
    assert found.silhouette > found.silhouette_shuffled + 0.03  # the null takes the best k too


def test_only_training_dialogues_are_looked_at(world: tuple[Dataset, Splits]) -> None:
    dataset, splits = world
    loud = tuple(
        replace(row, messages=tuple(Message(m.role, f"{m.text} The fan is at 9.") for m in row.messages))
        if splits.assignment[row.dialogue_id] != "train"
        else row
        for row in dataset.dialogues
    )
    one, other = (
        behaviour_features(Dataset(dataset.personas, rows), splits, SMART_HOME)
        for rows in (dataset.dialogues, loud)
    )
    assert np.array_equal(one.vectors, other.vectors)
    silenced = {name: "test" if split == "train" else split for name, split in splits.assignment.items()}
    assert behaviour_features(dataset, Splits("by-time", silenced), SMART_HOME).personas == ()


def test_words_are_those_of_replies_that_some_use_and_others_do_not() -> None:
    told = {
        f"p{i}": [("gladly", "Sure thing, lights on." if i % 2 else "Certainly, lights on.")]
        for i in range(6)
    }
    table = words(told)
    assert table.shape == (6, 3)  # sure, thing, certainly: not "lights", which all say, nor the user's word
    assert np.allclose(table[0], table[2])
    assert table[0] @ table[1] == 0.0
    assert words({}).shape == (0, 0)


def test_a_domain_without_habits_goes_by_words_alone(world: tuple[Dataset, Splits]) -> None:
    dataset, splits = world
    alone = behaviour_features(dataset, splits, CHAT)
    assert alone.personas == behaviour_features(dataset, splits, SMART_HOME).personas
    assert 0 < alone.vectors.shape[1] < behaviour_features(dataset, splits, SMART_HOME).vectors.shape[1]


def test_characters_are_compared_by_meaning(scorer: Scorer) -> None:
    texts = ["A terse carpenter.", "A gruff woodworker.", "A cheerful singer.", None]
    people = tuple(Persona(f"p{i}", text) for i, text in enumerate(texts))
    features = character_features(Dataset(people, ()), Splits("by-time", {}), scorer)
    assert features.personas == ("p0", "p1", "p2")
    assert features.likeness[0, 1] > features.likeness[0, 2]
    assert np.allclose(np.diag(features.likeness), 1.0)


def test_joined_features_weigh_the_same_and_fill_gaps_with_the_mean() -> None:
    small = Features(("a", "b"), np.array([[1.0, 0.0], [-1.0, 0.0]]))
    large = Features(("b", "c"), np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]))
    both = joined([small, large])
    assert both.personas == ("a", "b", "c")
    assert np.allclose(np.linalg.norm(both.vectors, axis=1), 1.0)
    assert both.likeness[0, 1] == pytest.approx(both.likeness[1, 2])


def test_adapters_as_points_keep_their_order_of_likeness() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 200))
    truth = np.repeat(np.arange(3), 5)
    adapters = (centres[truth] + 0.7 * rng.normal(size=(15, 200))) * rng.uniform(0.1, 9, size=(15, 1))
    features = adapter_features([f"p{i}" for i in range(15)], adapters @ adapters.T)
    found = cluster(features.vectors, [2, 3, 4], method="k-means", seed=0)
    assert adjusted_rand_score(truth, found.labels) == 1.0


def test_saved_features_come_back(tmp_path: Path) -> None:
    features = Features(("ada", "ben"), np.array([[1.0, 0.0], [0.6, 0.8]]))
    features.save(tmp_path / "features.npz")
    again = load_features(tmp_path / "features.npz")
    assert again.personas == features.personas
    assert np.allclose(again.vectors, features.vectors)
    (tmp_path / "features.npz").write_bytes(b"torn")
    with pytest.raises(EngineError, match="cannot be read"):
        load_features(tmp_path / "features.npz")
