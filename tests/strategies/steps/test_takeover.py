"""A full study after its pilot: what was trained and said before is used as it is, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from engine.core.paths import Workspace, read_json
from engine.lm.recipes import read_personas
from engine.results.comparing.pilots import pilots
from engine.runs.runfolder import RunSpec, read_log
from tests.scores_for_tests import scores_of
from tests.strategies.steps.test_steps import do
from tests.tiny_base import prepare_study

TRAINING = {"epochs": 2, "learning_rate": 0.02}
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def studied(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, RunSpec, RunSpec]:
    """A workspace with a pilot of three personas of five, then the study of all."""
    ws = prepare_study(tmp_path_factory.mktemp("study"), tiny_base, personas=5)
    pilot = do(ws, "per-persona", personas=3, **TRAINING)
    return ws, pilot, do(ws, "per-persona", **TRAINING)


def records(ws: Workspace, spec: RunSpec) -> dict[str, dict[str, Any]]:
    return {record["name"]: record for record in read_json(ws.run_folder(spec.run_id) / "training.json")}


def scores(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id)


def test_the_pilots_adapters_are_taken_over_bit_by_bit(studied: tuple[Workspace, RunSpec, RunSpec]) -> None:
    ws, pilot, full = studied
    made = records(ws, full)
    taken = {name for name, record in made.items() if record["taken_from"] == pilot.run_id}
    assert (len(made), taken) == (5, set(records(ws, pilot)))
    for name in taken:
        one, other = (ws.adapters(spec.run_id) / name / WEIGHTS for spec in (pilot, full))
        assert one.read_bytes() == other.read_bytes()
        assert made[name]["val_losses"] == records(ws, pilot)[name]["val_losses"]
    summary = read_json(ws.run_folder(full.run_id) / "done.json")["summary"]
    assert (summary["adapters"], summary["adapters_taken_over"]) == (5, 3)
    own = read_personas(ws, full.run_id)
    assert len(own) == 5
    assert {one.run for (one,) in own.values()} == {full.run_id}


def test_they_are_what_the_full_study_alone_would_have_trained(
    studied: tuple[Workspace, RunSpec, RunSpec], tiny_base: Path, tmp_path: Path
) -> None:
    ws, _, full = studied
    alone = prepare_study(tmp_path, tiny_base, personas=5)
    spec = do(alone, "per-persona", **TRAINING)
    assert spec.run_id == full.run_id
    for name, record in records(alone, spec).items():
        assert record["taken_from"] is None
        assert record["lesson"] == records(ws, full)[name]["lesson"]
        here, there = (load_file(one.adapters(full.run_id) / name / WEIGHTS) for one in (ws, alone))
        for key, tensor in here.items():
            torch.testing.assert_close(tensor, there[key], atol=1e-4, rtol=0)


def test_the_pilots_replies_stay_what_they_were(studied: tuple[Workspace, RunSpec, RunSpec]) -> None:
    ws, pilot, full = studied
    before, after = scores(ws, pilot), scores(ws, full)
    assert any("replies are taken over" in line for line in read_log(ws.run_folder(full.run_id)))
    key = ["split", "example_id"]
    both = before.merge(after, on=key, suffixes=("", "_full"))
    assert len(both) == len(before) < len(after)
    assert (both["reply"] == both["reply_full"]).all()
    assert (both["protocol"] == both["protocol_full"]).all()


def test_a_pilot_forecasts_the_study_on_validation(studied: tuple[Workspace, RunSpec, RunSpec]) -> None:
    ws, pilot, _ = studied
    (found,) = pilots(ws)
    assert (found.run_id, found.personas, found.personas_full) == (pilot.run_id, 3, 5)
    assert (found.reference, found.split) == ("unified", "val")
    assert found.scale_up == (
        "python -m engine run per-persona --set learning_rate=0.02 --set epochs=2"
        f" --set examples_per_persona=3 --set max_new_tokens=8 --workspace {ws.root}"
    )
    assert (found.forecast is None) == (found.reason is not None)


def test_other_evaluation_settings_train_nothing_anew(studied: tuple[Workspace, RunSpec, RunSpec]) -> None:
    ws, pilot, full = studied
    again = do(ws, "per-persona", **{**TRAINING, "max_new_tokens": 4})
    assert {record["taken_from"] for record in records(ws, again).values()} <= {pilot.run_id, full.run_id}
    assert not any("replies are taken over" in line for line in read_log(ws.run_folder(again.run_id)))
    assert scores(ws, again)["reply_tokens"].max() <= 4


@pytest.mark.parametrize("changed", [{"learning_rate": 0.01}, {"l2": 0.1}, {"history": 2}])
def test_what_was_trained_otherwise_is_not_taken(
    studied: tuple[Workspace, RunSpec, RunSpec], changed: dict[str, Any]
) -> None:
    ws, _, _ = studied
    other = do(ws, "per-persona", **{**TRAINING, "personas": 1, **changed})
    assert {record["taken_from"] for record in records(ws, other).values()} == {None}


def test_a_run_whose_adapters_were_changed_is_not_trusted(tiny_base: Path, tmp_path: Path) -> None:
    ws = prepare_study(tmp_path, tiny_base, personas=3)
    pilot = do(ws, "per-persona", personas=1, **TRAINING)
    (name,) = records(ws, pilot)
    weights = ws.adapters(pilot.run_id) / name / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-4])
    full = do(ws, "per-persona", **TRAINING)
    assert {record["taken_from"] for record in records(ws, full).values()} == {None}


def test_what_is_worth_having_is_the_studys_minimum_in_its_own_metric_and_a_point_in_any_other(
    studied: tuple[Workspace, RunSpec, RunSpec],
) -> None:
    found = {}
    for metric in ("embedding_similarity", "length_ratio"):
        one = pilots(studied[0], metric=metric)[0]
        assert one.forecast is not None, one.reason
        found[metric] = one.forecast.criterion.effect
    assert found == {"embedding_similarity": pytest.approx(0.0286), "length_ratio": 0.01}
