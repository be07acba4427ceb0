"""What training took: read again from runs, warned of where it ended too early, matched by a control."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.paths import Workspace, read_json, write_json
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.runs.runfolder import RunSpec
from engine.strategies.budgets import NOTHING, budget_of, own_budget, whole_budget
from engine.strategies.trained import TrainingParameters
from tests.strategies.steps.test_steps import do
from tests.tiny_base import prepare_study

SHORT = {"epochs": 2, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def studied(
    tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, dict[str, RunSpec]]:
    """Unified, a hybrid on it, and the control that is matched to that."""
    ws = prepare_study(tmp_path_factory.mktemp("study"), tiny_base, personas=3)
    made = {"unified": do(ws, "unified", **SHORT), "hybrid": do(ws, "hybrid", epochs=1)}
    made["matched"] = do(ws, "matched", to="hybrid", learning_rate=0.02)
    return ws, made


def test_training_ends_where_validation_turns_unless_it_is_told_otherwise() -> None:
    usual = TrainingParameters()
    assert usual.patience is not None
    assert usual.epochs > 2 * usual.patience  # a cap, not the end


def test_steps_passes_and_tokens_are_those_of_all_that_is_behind(
    studied: tuple[Workspace, dict[str, RunSpec]],
) -> None:
    ws, made = studied
    unified, delta = (own_budget(ws, made[name].run_id) for name in ("unified", "hybrid"))
    records = read_json(ws.run_folder(made["unified"].run_id) / "training.json")
    (record,) = records
    assert unified.passes == 2 * record["train_dialogues"]
    assert unified.steps == record["steps"]
    assert unified.tokens is not None
    assert delta.tokens is not None
    assert (unified.adapters, delta.adapters) == (1, 3)
    assert 2 * delta.passes == unified.passes  # one epoch for each persona, beside two for all
    assert unified.tokens == 2 * delta.tokens
    assert whole_budget(ws, made["hybrid"].run_id) == unified + delta
    summary = read_json(ws.run_folder(made["hybrid"].run_id) / "done.json")["summary"]
    assert (summary["steps"], summary["train_tokens"]) == (delta.steps, delta.tokens)
    assert summary["best_epoch_last"] == 3  # the one epoch there was


def test_the_control_is_trained_on_as_much_and_competes_with_nobody(
    studied: tuple[Workspace, dict[str, RunSpec]],
) -> None:
    ws, made = studied
    matched = own_budget(ws, made["matched"].run_id)
    behind = whole_budget(ws, made["hybrid"].run_id)
    assert (matched.passes, matched.tokens, matched.adapters) == (behind.passes, behind.tokens, 1)
    assert whole_budget(ws, made["matched"].run_id) == matched
    store.refresh(ws)
    rows = {row["run_id"]: row for row in compare_variants(ws, split="val")["rows"]}
    row = rows[made["matched"].run_id]
    assert (row["variant"], row["role"], row["p_holm"]) == ("unified~hybrid-steps", "step-matched", None)
    hybrid = rows[made["hybrid"].run_id]
    assert hybrid["above_matched"]["control"] == row["variant"]
    assert hybrid["above_matched"]["delta"] == pytest.approx(hybrid["mean"] - row["mean"])
    assert (hybrid["steps"], hybrid["train_tokens"]) == (behind.steps, behind.tokens)
    assert rows[made["unified"].run_id]["steps"] == own_budget(ws, made["unified"].run_id).steps


def test_it_is_said_where_the_best_epoch_was_the_last(studied: tuple[Workspace, dict[str, RunSpec]]) -> None:
    ws, made = studied
    path = ws.run_folder(made["hybrid"].run_id) / "training.json"
    records = read_json(path)
    assert "the last for 3 of 3 adapters" in own_budget(ws, made["hybrid"].run_id).warning
    found = compare_variants(ws, split="val")
    assert any("hybrid" in line and "3 of 3 adapters" in line for line in found["warnings"])
    turned = [{**one, "val_losses": [1.0, 0.5, 0.7], "best_epoch": 2} for one in records]
    assert sum((budget_of(one) for one in turned), NOTHING).warning == ""
    write_json(path, turned)
    assert own_budget(ws, made["hybrid"].run_id).warning == ""
    write_json(path, records)
