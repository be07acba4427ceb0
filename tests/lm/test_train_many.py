"""Many adapters trained at once: each is the one trained alone, whatever memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.core.errors import EngineError
from engine.lm.encode import Encoded
from engine.lm.memory import bytes_of_a_step, is_out_of_memory
from engine.lm.packing import Drill
from engine.lm.passes import Passes
from engine.lm.train import Lesson
from tests.lm.training import SETTINGS, Training, Weights, assert_same_weights, same


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


def test_validation_that_runs_out_of_memory_goes_on_in_smaller_parts(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    """Training left room for its own parts; judging computes more at once, beside what training holds."""
    settings = replace(SETTINGS, epochs=1)
    expected = Training(tiny_base, settings).fit_all([Lesson("ada", encoded[:4], encoded[4:12])])
    training = Training(tiny_base, settings)
    longest = max(len(row) for row in encoded[4:12])

    def refuse(_: object, __: object, given: dict[str, torch.Tensor]) -> None:
        if not torch.is_grad_enabled() and given["input_ids"].numel() > 1.2 * longest:
            raise torch.OutOfMemoryError("no room")

    training.base.model.get_decoder().register_forward_pre_hook(refuse, with_kwargs=True)
    got = training.fit_all([Lesson("ada", encoded[:4], encoded[4:12])])
    assert any("Out of memory" in line for line in training.said)
    assert got[0].val_losses == pytest.approx(expected[0].val_losses, abs=1e-4)
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


@pytest.mark.parametrize(
    ("words", "full"),
    [
        ("CUDA error: out of memory", True),
        ("Triton Error [CUDA]: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_a_full_card_is_known_by_what_drivers_and_libraries_say(words: str, full: bool) -> None:
    assert is_out_of_memory(RuntimeError(words)) == full


def test_a_step_takes_no_more_than_a_small_card_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"mem_get_info": (3 << 30, 8 << 30), "memory_reserved": 2 << 30, "memory_allocated": 1 << 30}
    for name, value in free.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    assert bytes_of_a_step(torch.device("cuda")) == 2 << 30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (60 << 30, 80 << 30))
    assert bytes_of_a_step(torch.device("cuda")) == bytes_of_a_step(torch.device("cpu"))


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
    monkeypatch.setattr("engine.lm.memory._MOST_OF_A_STEP", 2 * 8 * 4 * training.parameters_each)
    groups.clear()
    apart = Training(tiny_base, settings).fit_all(lessons)
    assert groups == [2, 2, 1]
    assert_same_weights(together, apart)
