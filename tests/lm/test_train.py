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
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from engine.core.errors import EngineError
from engine.lm.adapters import Lora, added
from engine.lm.bank import change_of, written
from engine.lm.batches import epoch_batches, micro_batches, schedule
from engine.lm.encode import IGNORED, Encoded, training_batch
from engine.lm.forms import LoraForm, Pull, seed_of, toward_zero
from engine.lm.load import load_base
from engine.lm.packing import Drill
from engine.lm.passes import Passes
from engine.lm.shape import LoraShape
from engine.lm.train import Hooks, Lesson, Stopped, Trained, Trainer, TrainSettings, evaluate_loss

SHAPE = LoraShape(rank=4, alpha=8, dropout=0.1, target_modules=["q_proj", "v_proj"])
SETTINGS = TrainSettings(learning_rate=5e-3, epochs=3, batch_size=2, seed=3)
TRAIN, VAL = slice(0, 7), slice(7, 12)  # 4 steps an epoch, the last batch of one dialogue
STEPS = 12
Weights = dict[str, torch.Tensor]


def assert_same_weights(ours: Sequence[Trained], theirs: Sequence[Trained]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for name, tensor in one.weights.items():
            torch.testing.assert_close(tensor, other.weights[name], atol=1e-4, rtol=0)


class Training:
    """One run of the trainer over a fresh model, and everything it said."""

    def __init__(
        self,
        tiny_base: Path,
        settings: TrainSettings,
        *,
        dropout: float = 0.1,
        checkpoint: Path | None = None,
    ) -> None:
        self.base = load_base(str(tiny_base))
        self.settings, self.checkpoint = settings, checkpoint
        self.kind = LoraForm(self.base.model, SHAPE.model_copy(update={"dropout": dropout}))
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
    ) -> Trained:
        lesson = Lesson("unified", rows[TRAIN], rows[VAL] if val is None else val)
        return self.fit_all([lesson], stop=stop, progress=progress, checkpoint_seconds=checkpoint_seconds)[0]

    def fit_all(
        self,
        lessons: Sequence[Lesson],
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
        checkpoint_seconds: float = 1e9,
        pull: Pull = toward_zero,
    ) -> list[Trained]:
        trainer = Trainer(
            self.base.model,
            self.kind,
            self.settings,
            lessons,
            pad_id=self.base.tokenizer.pad_token_id,
            checkpoint=self.checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            hooks=Hooks(progress, lambda *loss: self.losses.append(loss[:4]), stop, self.said.append),
            pull=pull,
        )
        self.parameters_each = trainer.parameters_each
        trained = trainer.fit()
        self.weights: Weights = trained[0].weights
        return trained

    @property
    def lora(self) -> Lora:
        return self.kind.lora(self.weights)


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def undisturbed(tiny_base: Path, encoded: list[Encoded]) -> Training:
    training = Training(tiny_base, SETTINGS)
    training.fit(encoded)
    return training


def peft_name(name: str) -> str:
    path, kind = name.split("|")
    return f"base_model.model.{path}.lora_{kind}.weight"


def plain_peft(
    tiny_base: Path, settings: TrainSettings, train: Sequence[Encoded], start: Weights, name: str
) -> tuple[list[float], Weights]:
    """A plain loop over PEFT's own model with torch's AdamW: the losses and the weights at the end."""
    steps = math.ceil(len(train) / settings.batch_size) * settings.epochs
    warm = math.ceil(steps * settings.warmup_share)
    config = LoraConfig(
        r=SHAPE.rank,
        lora_alpha=int(SHAPE.alpha),
        lora_dropout=0.0,
        target_modules=SHAPE.target_modules,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(load_base(str(tiny_base)).model, config)
    set_peft_model_state_dict(model, {peft_name(key): tensor for key, tensor in start.items()})
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    losses: list[float] = []
    for epoch in range(settings.epochs):
        seed = seed_of(settings.seed, name, "order", epoch)
        for chosen in epoch_batches([len(row) for row in train], settings.batch_size, seed=seed):
            rows = [train[index] for index in chosen]
            ids = training_batch(rows, pad_id=0).ids
            labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
            for index, row in enumerate(rows):
                marks = torch.tensor(row.is_reply)
                labels[index, : len(row)] = torch.where(marks, torch.tensor(row.ids), IGNORED)
                mask[index, : len(row)] = 1
            done = len(losses)
            share = (done + 1) / (warm + 1) if done < warm else (steps - done) / (steps - warm)
            optimizer.param_groups[0]["lr"] = settings.learning_rate * share
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            if settings.l2:
                loss = loss + settings.l2 * sum(parameter.square().sum() for parameter in trained)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses, get_peft_model_state_dict(model)


def assert_like_peft(trained: Trained, theirs: Weights) -> None:
    assert {peft_name(name) for name in trained.weights} == theirs.keys()
    for name, tensor in trained.weights.items():
        torch.testing.assert_close(tensor, theirs[peft_name(name)], atol=1e-5, rtol=0)
    moved = [name for name in theirs if "lora_B" in name and theirs[name].abs().max() > 1e-3]
    assert len(moved) == 4


PLAIN = replace(SETTINGS, epochs=2, warmup_share=0.3, max_grad_norm=0.5)


def test_losses_and_weights_are_those_of_a_plain_peft_loop(tiny_base: Path, encoded: list[Encoded]) -> None:
    ours = Training(tiny_base, PLAIN, dropout=0.0)
    start = ours.kind.start(seed=seed_of(PLAIN.seed, "unified", "start"))
    trained = ours.fit(encoded, val=[])
    losses, theirs = plain_peft(tiny_base, PLAIN, encoded[TRAIN], start, "unified")
    assert [nats for *_, nats in ours.losses] == pytest.approx(losses, abs=1e-5)
    assert_like_peft(trained, theirs)


def test_every_adapter_of_a_bank_is_what_a_plain_peft_loop_makes_of_its_data(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    """Different numbers of dialogues, so different schedules; one with a last batch that is not full."""
    settings = replace(PLAIN, l2=0.02)
    lessons = [
        Lesson("ada", encoded[0:7]),
        Lesson("bo", encoded[7:11]),
        Lesson("cy", encoded[11:12]),
        Lesson("di", encoded[12:22]),
    ]
    training = Training(tiny_base, settings, dropout=0.0)
    for lesson, trained in zip(lessons, training.fit_all(lessons), strict=True):
        start = training.kind.start(seed=seed_of(settings.seed, lesson.name, "start"))
        _, theirs = plain_peft(tiny_base, settings, lesson.train, start, lesson.name)
        assert trained.steps == settings.epochs * math.ceil(len(lesson.train) / 2)
        assert_like_peft(trained, theirs)


def test_an_adapter_trained_among_others_is_the_one_trained_alone(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    """With dropout, validation and early stopping of its own."""
    settings = replace(SETTINGS, patience=1, epochs=5, learning_rate=0.05)
    lessons = [
        Lesson(f"persona {number}", encoded[3 * number : 3 * number + 2 + number], encoded[30 + number :][:3])
        for number in range(6)
    ]
    together = Training(tiny_base, settings, dropout=0.3).fit_all(lessons)
    assert len({one.steps for one in together}) > 3
    assert any(len(one.val_losses) < 5 for one in together), "none stopped early: nothing is shown"
    for lesson, among in zip(lessons, together, strict=True):
        alone = Training(tiny_base, settings, dropout=0.3).fit_all([lesson])[0]
        assert (alone.steps, alone.best_epoch) == (among.steps, among.best_epoch)
        assert alone.val_losses == pytest.approx(among.val_losses, abs=1e-4)
        assert_same_weights([alone], [among])


def test_an_adapter_stops_when_its_own_validation_loss_has_risen_for_so_many_epochs(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    """One that overfits at once ends early with its best weights; its neighbour's end is not touched."""
    settings = replace(SETTINGS, patience=2, epochs=8, learning_rate=1.5, warmup_share=0.0)
    rash = Lesson("rash", encoded[0:2], encoded[30:33])
    steady = Lesson("steady", encoded[0:2], encoded[0:2])  # judged on what it learns, so it goes on
    early, late = Training(tiny_base, settings).fit_all([rash, steady])
    assert len(early.val_losses) == early.best_epoch + 1 + 2 < 8
    assert early.best_loss == min(early.val_losses) == early.val_losses[early.best_epoch]
    assert len(late.val_losses) > len(early.val_losses)
    hasty, patient = (
        Training(tiny_base, replace(settings, patience=patience)).fit_all([rash])[0] for patience in (2, None)
    )
    assert len(patient.val_losses) == 8 > len(hasty.val_losses)
    assert patient.best_epoch == hasty.best_epoch
    assert same(patient.weights, hasty.weights)


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


def test_what_is_computed_at_once_changes_no_result(
    tiny_base: Path, encoded: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, batch_size=4, epochs=1)
    lessons = [Lesson(str(number), encoded[5 * number : 5 * number + 5]) for number in range(4)]
    whole = Training(tiny_base, settings).fit_all(lessons)
    monkeypatch.setattr("engine.lm.passes._TOKENS_AT_ONCE", {"cpu": 1})
    piecemeal = Training(tiny_base, settings).fit_all(lessons)
    assert_same_weights(whole, piecemeal)


def test_a_bank_that_runs_out_of_memory_goes_on_in_smaller_parts(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    """The model refuses two long dialogues at once, as a full device would."""
    settings = replace(SETTINGS, batch_size=4, epochs=1)
    lessons = [Lesson(str(number), encoded[5 * number : 5 * number + 5]) for number in range(4)]
    longest = max(len(row) for lesson in lessons for row in lesson.train)
    expected = Training(tiny_base, settings).fit_all(lessons)
    training = Training(tiny_base, settings)

    def refuse(_: object, __: object, given: dict[str, torch.Tensor]) -> None:
        if given["input_ids"].numel() > 1.2 * longest:
            raise torch.OutOfMemoryError("no room")

    training.base.model.get_decoder().register_forward_pre_hook(refuse, with_kwargs=True)
    got = training.fit_all(lessons)
    assert any("Out of memory" in line for line in training.said)
    assert_same_weights(expected, got)


def test_one_dialogue_that_does_not_fit_is_an_error_that_says_so(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    training = Training(tiny_base, SETTINGS)

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    training.base.model.get_decoder().register_forward_pre_hook(refuse)
    with pytest.raises(EngineError, match="not enough memory to train on one dialogue"):
        training.fit(encoded)


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


def test_a_step_of_many_large_adapters_is_taken_in_groups_that_memory_holds(
    tiny_base: Path, encoded: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, epochs=1)
    lessons = [Lesson(str(number), encoded[3 * number : 3 * number + 2]) for number in range(5)]
    groups: list[int] = []
    gradients = Passes.gradients

    def counted(self: Passes, stacked: Weights, rows: Sequence[Drill], shares: Sequence[float]) -> object:
        groups.append(len(shares))
        return gradients(self, stacked, rows, shares)

    monkeypatch.setattr(Passes, "gradients", counted)
    training = Training(tiny_base, settings)
    together = training.fit_all(lessons)
    monkeypatch.setattr("engine.lm.train._BYTES_A_GROUP", 2 * 8 * 4 * training.parameters_each)
    groups.clear()
    apart = Training(tiny_base, settings).fit_all(lessons)
    assert groups == [2, 2, 1]
    assert_same_weights(together, apart)


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


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(1, 900), st.integers(1, 6))
def test_micro_batches_hold_every_row_once_and_no_more_than_their_tokens(
    lengths: list[int], tokens: int, at_least: int
) -> None:
    parts = micro_batches(lengths, tokens, at_least=at_least)
    assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
    assert len(parts) >= min(at_least, len(lengths))
    assert all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= tokens for part in parts)
