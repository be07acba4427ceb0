"""Every preset is a set of parameters that its experiment takes, as its source has them."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.strategies import registry
from engine.strategies.plan import plan
from engine.strategies.spec import Experiment, Preset, validate

ALL = [(entry, preset) for entry in registry.EXPERIMENTS.values() for preset in entry.presets]


@pytest.mark.parametrize(("entry", "preset"), ALL, ids=lambda one: one.name)
def test_a_preset_is_taken_by_its_experiment(entry: Experiment, preset: Preset) -> None:
    made = validate(entry, preset.parameters).parameters.model_dump()
    for name, value in preset.parameters.items():
        assert made[name] == value
    assert preset.title
    assert preset.source.endswith(".")


def test_presets_belong_to_experiments_and_their_names_are_their_own() -> None:
    for entry in registry.EXPERIMENTS.values():
        names = [preset.name for preset in entry.presets]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("experiment", "preset", "expected"),
    [
        ("cluster", "cluster-4", {"cluster": 4, "learning_rate": 2e-4, "epochs": 5}),
        ("cluster-from-unified", "cluster-4", {"learning_rate": 1e-4, "epochs": 3, "batch_size": 2}),
        ("constrained", "quick-start", {"rank": 4, "l2": 0.1}),
        (
            "constrained",
            "backup-plan",
            {"alpha": 8.0, "dropout": 0.1, "weight_decay": 0.05, "warmup_share": 0.1},
        ),
        ("prefix-unified", "quick-start", {"length": 20}),
        ("retrieval", "quick-start", {"k": [0, 1, 3, 5]}),
        ("clustering", "quick-start", {"k": [5, 10, 15, 20, 25]}),
        ("mixture", "backup-plan", {"weights": [0.6]}),
    ],
)
def test_the_studys_own_numbers(experiment: str, preset: str, expected: dict[str, Any]) -> None:
    parameters = registry.get(experiment).preset(preset).parameters
    assert {name: parameters[name] for name in expected} == expected


def test_a_preset_can_be_planned_and_overridden(ws: Workspace) -> None:
    preset = registry.get("constrained").preset("quick-start")
    spec = plan(ws, "constrained", {**preset.parameters, "rank": 2}).target.spec
    assert (spec.parameters["l2"], spec.parameters["rank"]) == (0.1, 2)


def test_an_unknown_preset_gets_the_nearest_name() -> None:
    with pytest.raises(EngineError) as caught:
        registry.get("cluster").preset("cluster4")
    assert caught.value.hint == "Did you mean 'cluster-4'?"
