"""What training keeps, loads and says: the best epoch, its seed, and where it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from engine.core.errors import EngineError
from engine.lm.adapters import added
from engine.lm.bank import change_of, written
from engine.lm.encode import Encoded
from engine.lm.forms import LoraForm
from engine.lm.load import load_base
from engine.lm.shape import LoraShape
from engine.lm.train import Lesson, evaluate_loss
from tests.lm.training import SETTINGS, VAL, Training, same


def test_an_adapter_begins_as_the_weights_it_is_given(tiny_base: Path, encoded: list[Encoded]) -> None:
    settings = replace(SETTINGS, learning_rate=1e-6, epochs=1)
    training = Training(tiny_base, settings, dropout=0.0)
    given = {name: torch.full_like(tensor, 0.01) for name, tensor in training.kind.start(seed=9).items()}
    (trained,) = training.fit_all([Lesson("warm", encoded[0:2], start=given)])
    for name, tensor in trained.weights.items():
        torch.testing.assert_close(tensor, given[name], atol=1e-4, rtol=0)
    (fresh,) = Training(tiny_base, settings, dropout=0.0).fit_all([Lesson("warm", encoded[0:2])])
    assert not same(fresh.weights, trained.weights)


@pytest.mark.parametrize("modules", [("q_proj", "v_proj"), ("q_proj",)])
def test_the_pull_toward_another_adapter_is_the_gradient_of_the_distance_of_their_changes(
    tiny_base: Path, modules: tuple[str, ...]
) -> None:
    """Rank 2 toward rank 4, on fewer or more layers, as autograd sees it on the whole matrices."""
    model = load_base(str(tiny_base)).model
    kind = LoraForm(model, LoraShape(rank=2, alpha=6.0, dropout=0.0, target_modules=["q_proj", "v_proj"]))
    far = LoraForm(model, LoraShape(rank=4, alpha=8.0, dropout=0.0, target_modules=modules))
    torch.manual_seed(0)
    goal = far.lora({name: torch.randn_like(tensor) for name, tensor in far.start(seed=1).items()})
    names = kind.start(seed=1)
    stacked = {name: torch.randn(3, *tensor.shape).requires_grad_() for name, tensor in names.items()}
    distance = torch.zeros(())
    for path in {name.partition("|")[0] for name in stacked}:
        change = 3.0 * stacked[f"{path}|B"] @ stacked[f"{path}|A"]
        theirs = torch.zeros_like(change[0])
        if path in goal.factors:
            a, b = goal.factors[path]
            theirs = 2.0 * b @ a
        distance = distance + (change - theirs).square().sum()
    distance.backward()
    for name, pulled in kind.toward(goal)(stacked).items():
        torch.testing.assert_close(pulled, stacked[name].grad, atol=1e-3, rtol=1e-4)


def test_a_strong_pull_brings_an_adapter_to_its_goal(tiny_base: Path, encoded: list[Encoded]) -> None:
    goal = Training(tiny_base, SETTINGS)
    goal.fit(encoded)

    def distance(l2: float) -> float:
        training = Training(tiny_base, replace(SETTINGS, l2=l2, epochs=8, learning_rate=0.02, seed=8))
        (trained,) = training.fit_all([Lesson("own", encoded[12:16])], pull=training.kind.toward(goal.lora))
        changes = added([(training.kind.lora(trained.weights), 1.0), (goal.lora, -1.0)])
        return sum(float((b @ a).square().sum()) for a, b in changes.values())

    held, free = distance(10.0), distance(0.0)
    assert held < 0.2 * free


def test_only_the_adapter_is_trained(tiny_base: Path, undisturbed: Training) -> None:
    assert same(load_base(str(tiny_base)).model.state_dict(), undisturbed.base.model.state_dict())
    # Rank 4 on the q (32 -> 32) and v (32 -> 16) of two layers.
    assert undisturbed.parameters_each == 2 * (4 * (32 + 32) + 4 * (32 + 16))


def test_the_saved_adapter_loads_in_peft_and_says_the_same(
    tiny_base: Path, undisturbed: Training, encoded: list[Encoded], tmp_path: Path
) -> None:
    undisturbed.kind.save(undisturbed.weights, tmp_path / "unified", base="embedded")
    assert {path.name for path in (tmp_path / "unified").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    loaded = PeftModel.from_pretrained(load_base(str(tiny_base)).model, tmp_path / "unified").eval()
    ids = torch.tensor([encoded[20].ids])
    with torch.no_grad():
        before = undisturbed.base.model(input_ids=ids).logits
        with written(undisturbed.base.model, change_of([(undisturbed.lora, 1.0)])):
            ours = undisturbed.base.model(input_ids=ids).logits
        torch.testing.assert_close(loaded(input_ids=ids).logits, ours, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(before, ours, atol=1e-2)
        assert torch.equal(undisturbed.base.model(input_ids=ids).logits, before)


def test_the_epoch_with_the_lowest_validation_loss_is_kept(tiny_base: Path, encoded: list[Encoded]) -> None:
    training = Training(tiny_base, replace(SETTINGS, learning_rate=2.0, epochs=6, warmup_share=0.0))
    trained = training.fit(encoded)
    losses = [nats for split, _, _, nats in training.losses if split == "val"]
    assert len(losses) == 6
    assert min(losses) < losses[-1], "the last epoch is the best one: this test cannot tell them apart"
    assert (trained.best_epoch, trained.best_loss) == (losses.index(min(losses)), min(losses))
    assert list(trained.val_losses) == losses
    with written(training.base.model, change_of([(training.lora, 1.0)])):
        kept = evaluate_loss(training.base.model, encoded[VAL], pad_id=training.base.tokenizer.pad_token_id)
    assert kept == pytest.approx(min(losses), abs=1e-5)


def test_without_validation_the_last_epoch_is_kept(tiny_base: Path, encoded: list[Encoded]) -> None:
    training = Training(tiny_base, replace(SETTINGS, epochs=2))
    assert training.fit(encoded, val=[]).best_epoch == 1
    assert {split for split, *_ in training.losses} == {"train"}


def test_the_seed_decides_everything_dropout_included(
    tiny_base: Path, encoded: list[Encoded], undisturbed: Training
) -> None:
    torch.manual_seed(12345)  # whatever came before
    again, other, without = (
        Training(tiny_base, settings, dropout=dropout)
        for settings, dropout in ((SETTINGS, 0.1), (replace(SETTINGS, seed=4), 0.1), (SETTINGS, 0.0))
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


def test_losses_read_late_are_the_same_losses_of_the_same_steps(
    tiny_base: Path, encoded: list[Encoded], undisturbed: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, which is asked every few rounds: at the latest where something depends on them."""
    monkeypatch.setattr("engine.lm.train._ROUNDS_UNREAD", {"cpu": 3})
    late = Training(tiny_base, SETTINGS)
    late.fit(encoded)
    assert late.losses == undisturbed.losses
    messages = []
    for rounds in (1, 3):
        monkeypatch.setattr("engine.lm.train._ROUNDS_UNREAD", {"cpu": rounds})
        with pytest.raises(EngineError, match="the loss at step") as caught:
            Training(tiny_base, replace(SETTINGS, learning_rate=1e30)).fit(encoded)
        messages.append(caught.value.message)
    assert messages[0] == messages[1]


def test_the_validation_loss_is_the_mean_over_all_reply_tokens(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    base = load_base(str(tiny_base))
    rows = encoded[:20]  # more than one batch of unequal lengths
    alone = [evaluate_loss(base.model, [row], pad_id=0) for row in rows]
    counts = [sum(row.is_reply) for row in rows]
    mean = sum(loss * count for loss, count in zip(alone, counts, strict=True)) / sum(counts)
    assert evaluate_loss(base.model, rows, pad_id=0) == pytest.approx(mean, abs=1e-5)
