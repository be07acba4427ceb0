"""Training: equal to a plain PEFT loop, the best epoch kept, the same weights however often stopped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict

from engine.errors import EngineError
from engine.lm.encode import IGNORED, Encoded, training_batch
from engine.lm.load import load_base
from engine.lm.train import (
    Hooks,
    Stopped,
    Trainer,
    TrainSettings,
    TrainState,
    epoch_batches,
    evaluate_loss,
    new_adapter,
    schedule,
)

SETTINGS = TrainSettings(rank=4, alpha=8, dropout=0.1, learning_rate=5e-3, epochs=3, batch_size=2, seed=3)
TRAIN, VAL = slice(0, 7), slice(7, 12)  # 4 steps an epoch, the last batch of one dialogue
STEPS = 12
Weights = dict[str, torch.Tensor]


class Training:
    """One run of the trainer over a fresh model, and everything it said."""

    def __init__(self, tiny_base: Path, settings: TrainSettings, *, checkpoint: Path | None = None) -> None:
        self.base = load_base(str(tiny_base))
        self.settings, self.checkpoint = settings, checkpoint
        self.losses: list[tuple[str, int, int, float]] = []
        self.said: list[str] = []

    def fit(
        self,
        rows: Sequence[Encoded],
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
        checkpoint_seconds: float = 1e9,
        val: Sequence[Encoded] | None = None,
    ) -> TrainState:
        trainer = Trainer(
            new_adapter(self.base.model, self.settings, "unified"),
            self.settings,
            pad_id=self.base.tokenizer.pad_token_id,
            checkpoint=self.checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            hooks=Hooks(progress, lambda *loss: self.losses.append(loss), stop, self.said.append),
        )
        self.model = trainer.model
        self.parameters_trained = trainer.parameters_trained
        return trainer.fit(rows[TRAIN], rows[VAL] if val is None else val)

    @property
    def weights(self) -> Weights:
        return get_peft_model_state_dict(self.model, adapter_name="unified")


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def undisturbed(tiny_base: Path, encoded: list[Encoded]) -> Training:
    training = Training(tiny_base, SETTINGS)
    training.fit(encoded)
    return training


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_losses_and_weights_are_those_of_a_plain_peft_loop(
    tiny_base: Path, encoded: list[Encoded], dropout: float
) -> None:
    settings = replace(SETTINGS, dropout=dropout, epochs=2, warmup_share=0.3, max_grad_norm=0.5)
    ours = Training(tiny_base, settings)
    ours.fit(encoded, val=[])
    train, steps = encoded[TRAIN], 8

    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=4, lora_alpha=8, lora_dropout=dropout, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    model = get_peft_model(load_base(str(tiny_base)).model, config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    torch.manual_seed(settings.seed + 1)
    losses = []
    for epoch in range(2):
        for chosen in epoch_batches([len(row) for row in train], 2, seed=settings.seed * 1009 + epoch):
            rows = [train[index] for index in chosen]
            ids = training_batch(rows, pad_id=0).ids
            labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
            for index, row in enumerate(rows):
                marks = torch.tensor(row.is_reply)
                labels[index, : len(row)] = torch.where(marks, torch.tensor(row.ids), IGNORED)
                mask[index, : len(row)] = 1
            warm = len(losses) < 3  # 30 % of 8 steps, rounded up
            share = (len(losses) + 1) / 4 if warm else (steps - len(losses)) / 5
            optimizer.param_groups[0]["lr"] = settings.learning_rate * share
            model.train()
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 0.5)
            optimizer.step()
            losses.append(float(loss.detach()))

    assert [nats for *_, nats in ours.losses] == pytest.approx(losses, abs=1e-5)
    theirs = get_peft_model_state_dict(model)
    assert ours.weights.keys() == theirs.keys()
    for name, tensor in ours.weights.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-5, rtol=0)
    moved = [name for name in theirs if "lora_B" in name and theirs[name].abs().max() > 1e-3]
    assert len(moved) == 4


def test_only_the_adapter_is_trained(tiny_base: Path, undisturbed: Training) -> None:
    fresh = load_base(str(tiny_base)).model.state_dict()
    after = {
        name.replace(".base_layer", ""): tensor
        for name, tensor in undisturbed.model.get_base_model().state_dict().items()
        if "lora_" not in name
    }
    assert same(fresh, after)
    # Rank 4 on the q (32 -> 32) and v (32 -> 16) of two layers.
    assert undisturbed.parameters_trained == 2 * (4 * (32 + 32) + 4 * (32 + 16))


def test_the_saved_adapter_loads_in_peft_and_says_the_same(
    tiny_base: Path, undisturbed: Training, encoded: list[Encoded], tmp_path: Path
) -> None:
    undisturbed.model.save_pretrained(tmp_path, selected_adapters=["unified"])
    assert {path.suffix for path in (tmp_path / "unified").iterdir()} <= {".json", ".safetensors", ".md"}
    loaded = PeftModel.from_pretrained(load_base(str(tiny_base)).model, tmp_path / "unified").eval()
    ids = torch.tensor([encoded[20].ids])
    with torch.no_grad():
        ours = undisturbed.model.eval()(input_ids=ids).logits
        torch.testing.assert_close(loaded(input_ids=ids).logits, ours)
        assert not torch.allclose(load_base(str(tiny_base)).model(input_ids=ids).logits, ours, atol=1e-2)


def test_the_epoch_with_the_lowest_validation_loss_is_kept(tiny_base: Path, encoded: list[Encoded]) -> None:
    training = Training(tiny_base, replace(SETTINGS, learning_rate=0.3, epochs=6, warmup_share=0.0))
    state = training.fit(encoded)
    losses = [nats for split, _, _, nats in training.losses if split == "val"]
    assert len(losses) == 6
    assert min(losses) < losses[-1], "the last epoch is the best one: this test cannot tell them apart"
    assert (state.best_epoch, state.best_loss) == (losses.index(min(losses)), min(losses))
    kept = evaluate_loss(training.model, encoded[VAL], pad_id=training.base.tokenizer.pad_token_id)
    assert kept == pytest.approx(min(losses), abs=1e-6)


def test_without_validation_the_last_epoch_is_kept(tiny_base: Path, encoded: list[Encoded]) -> None:
    training = Training(tiny_base, replace(SETTINGS, epochs=2))
    assert training.fit(encoded, val=[]).best_epoch == 1
    assert {split for split, *_ in training.losses} == {"train"}


@pytest.mark.parametrize(
    "settings", [SETTINGS, replace(SETTINGS, learning_rate=0.3)], ids=["falling loss", "best epoch long past"]
)
def test_a_run_stopped_after_every_step_ends_like_one_left_alone(
    tiny_base: Path, encoded: list[Encoded], tmp_path: Path, settings: TrainSettings
) -> None:
    undisturbed = Training(tiny_base, settings)
    expected = undisturbed.fit(encoded)
    assert (expected.best_epoch < 2) == (settings.learning_rate == 0.3), "nothing to tell the two cases apart"
    losses, attempts = [], 0
    while True:
        attempts += 1
        training = Training(tiny_base, settings, checkpoint=tmp_path)
        try:
            state = training.fit(encoded, stop=lambda: True)
        except Stopped:
            losses += training.losses
            continue
        losses += training.losses
        break
    assert attempts == STEPS + 1  # also in the middle of an epoch, at its end, and after the last step
    assert same(training.weights, undisturbed.weights)
    assert losses == undisturbed.losses
    assert (state.step, state.best_epoch, state.best_loss) == (STEPS, expected.best_epoch, expected.best_loss)
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


def test_the_seed_decides_everything_dropout_included(
    tiny_base: Path, encoded: list[Encoded], undisturbed: Training
) -> None:
    torch.manual_seed(12345)  # whatever came before
    again, other, without = (
        Training(tiny_base, settings)
        for settings in (SETTINGS, replace(SETTINGS, seed=4), replace(SETTINGS, dropout=0.0))
    )
    for training in (again, other, without):
        training.fit(encoded)
    assert same(again.weights, undisturbed.weights)
    assert not same(other.weights, undisturbed.weights)
    assert without.losses[0][3] == pytest.approx(undisturbed.losses[0][3], abs=1e-6)  # B is zero at first
    assert without.losses[2][3] != pytest.approx(undisturbed.losses[2][3], abs=1e-6)


def test_a_diverging_training_is_an_error_that_says_what_to_change(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    with pytest.raises(EngineError, match="diverged") as caught:
        Training(tiny_base, replace(SETTINGS, learning_rate=1e30)).fit(encoded)
    assert "learning_rate" in caught.value.hint


def test_the_validation_loss_is_the_mean_over_all_reply_tokens(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    base = load_base(str(tiny_base))
    rows = encoded[:20]  # more than one batch of unequal lengths
    alone = [evaluate_loss(base.model, [row], pad_id=0) for row in rows]
    counts = [sum(row.is_reply) for row in rows]
    mean = sum(loss * count for loss, count in zip(alone, counts, strict=True)) / sum(counts)
    assert evaluate_loss(base.model, rows, pad_id=0) == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize(
    ("total", "warmup", "factors"),
    [
        (10, 0.2, [1 / 3, 2 / 3, *(left / 8 for left in range(8, 0, -1))]),
        (4, 0.0, [1.0, 0.75, 0.5, 0.25]),
        (3, 1.0, [0.25, 0.5, 0.75]),
        (1, 0.1, [0.5]),
    ],
)
def test_the_learning_rate_rises_and_then_falls_in_straight_lines(
    total: int, warmup: float, factors: list[float]
) -> None:
    assert [schedule(step, total, warmup) for step in range(total)] == pytest.approx(factors)
    assert schedule(total, total, warmup) == 0.0


@given(st.lists(st.integers(1, 300), min_size=1, max_size=200), st.integers(1, 9), st.integers(0, 5))
def test_an_epoch_holds_every_dialogue_once_in_as_few_batches_as_can_be(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    groups = list(epoch_batches(lengths, batch_size, seed=seed))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    assert len(groups) == math.ceil(len(lengths) / batch_size)
    assert max(map(len, groups)) <= batch_size
    assert groups == list(epoch_batches(lengths, batch_size, seed=seed))
