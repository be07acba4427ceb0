"""A training that was stopped, killed or damaged ends with the weights of one left alone."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from engine.lm.encode import Encoded
from engine.lm.train import Stopped, TrainSettings
from tests.lm.training import SETTINGS, STEPS, Training, same


@pytest.mark.parametrize(
    "settings", [SETTINGS, replace(SETTINGS, learning_rate=1.0)], ids=["falling loss", "best epoch long past"]
)
def test_a_run_stopped_after_every_step_ends_like_one_left_alone(
    tiny_base: Path, encoded: list[Encoded], tmp_path: Path, settings: TrainSettings
) -> None:
    undisturbed = Training(tiny_base, settings)
    expected = undisturbed.fit(encoded)
    assert (expected.best_epoch < 2) == (settings.learning_rate == 1.0), "nothing to tell the two cases apart"
    losses, attempts = [], 0
    while True:
        attempts += 1
        training = Training(tiny_base, settings, checkpoint=tmp_path)
        try:
            trained = training.fit(encoded, stop=lambda: True)
        except Stopped:
            losses += training.losses
            continue
        losses += training.losses
        break
    assert attempts == STEPS + 1  # also in the middle of an epoch, at its end, and after the last step
    assert same(training.weights, undisturbed.weights)
    assert losses == undisturbed.losses
    assert (trained.steps, trained.best_epoch) == (STEPS, expected.best_epoch)
    assert trained.val_losses == expected.val_losses
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


class Killed(BaseException):
    """Ends the loop where a SIGKILL would: nothing is written on the way out."""


@pytest.mark.parametrize("at", [2, 4, 5, 11])
def test_a_killed_run_goes_on_from_its_last_checkpoint(
    tiny_base: Path, encoded: list[Encoded], undisturbed: Training, tmp_path: Path, at: int
) -> None:
    def die(done: int, _: int) -> None:
        if done == at:
            raise Killed

    with pytest.raises(Killed):
        Training(tiny_base, SETTINGS, checkpoint=tmp_path).fit(encoded, progress=die, checkpoint_seconds=0.0)
    again = Training(tiny_base, SETTINGS, checkpoint=tmp_path)
    again.fit(encoded)
    assert next(step for split, step, *_ in again.losses if split == "train") == at  # step `at` is done again
    assert same(again.weights, undisturbed.weights)


@pytest.mark.parametrize("damage", ["cut off", "missing", "torn position"])
def test_a_damaged_checkpoint_costs_time_and_nothing_else(
    tiny_base: Path, encoded: list[Encoded], undisturbed: Training, tmp_path: Path, damage: str
) -> None:
    steps = itertools.count(1)
    with pytest.raises(Stopped):
        Training(tiny_base, SETTINGS, checkpoint=tmp_path).fit(encoded, stop=lambda: next(steps) == 6)
    weights = next(tmp_path.glob("*.safetensors"))
    if damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "missing":
        weights.unlink()
    else:
        (tmp_path / "position.json").write_text('{"file": "st')
    again = Training(tiny_base, SETTINGS, checkpoint=tmp_path)
    again.fit(encoded)
    assert "starts over" in again.said[0]
    assert again.losses == undisturbed.losses
    assert same(again.weights, undisturbed.weights)


def test_a_finished_training_is_not_done_again(
    tiny_base: Path, encoded: list[Encoded], undisturbed: Training, tmp_path: Path
) -> None:
    Training(tiny_base, SETTINGS, checkpoint=tmp_path).fit(encoded)
    again = Training(tiny_base, SETTINGS, checkpoint=tmp_path)
    again.fit(encoded)
    assert again.losses == []
    assert same(again.weights, undisturbed.weights)
