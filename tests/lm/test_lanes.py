"""Lanes give what one model alone gives, in order; what goes wrong in one is raised to the caller."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from engine.lm.bank import change_of, written
from engine.lm.encode import Encoded
from engine.lm.forms import LoraForm
from engine.lm.generate import generate
from engine.lm.lanes import Lanes, lanes_for, twin
from engine.lm.load import Base, load_base
from engine.lm.shape import LoraShape
from engine.lm.train import Lesson, Trainer, TrainSettings

SHAPE = LoraShape(rank=4, alpha=8, dropout=0.1, target_modules=["q_proj", "v_proj"])
SETTINGS = TrainSettings(learning_rate=5e-3, epochs=2, batch_size=3, seed=3)


@pytest.fixture
def small(tiny_base: Path) -> Base:
    return load_base(str(tiny_base))


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_twin_has_modules_of_its_own_and_the_very_same_weights(small: Base) -> None:
    other = twin(small.model)
    pairs = list(zip(small.model.named_parameters(), other.named_parameters(), strict=True))
    assert pairs
    assert all(mine is theirs for (_, mine), (_, theirs) in pairs)
    assert not set(map(id, small.model.modules())) & set(map(id, other.modules()))


def test_an_adapter_written_into_one_lane_is_not_in_the_others(small: Base) -> None:
    kind = LoraForm(small.model, SHAPE)
    ids = torch.tensor([[5, 6, 7, 8]])
    plain = small.model(ids).logits
    other = twin(small.model)
    weights = {name: torch.ones_like(tensor) for name, tensor in kind.start(seed=0).items()}
    with written(other, change_of([(kind.lora(weights), 1.0)])):
        assert not torch.allclose(other(ids).logits, plain, atol=1e-3)
        assert torch.equal(small.model(ids).logits, plain)
    assert torch.equal(other(ids).logits, plain)


def test_results_come_in_order_from_threads_of_their_own(small: Base) -> None:
    names = []

    def work(model: PreTrainedModel, item: int) -> int:
        assert model is not small.model
        assert torch.get_num_threads() == 1
        names.append(threading.current_thread().name)
        return item * item

    with Lanes(small.model, 3) as lanes:
        assert list(lanes.map(work, range(20))) == [item * item for item in range(20)]
    assert all(name.startswith("lane") for name in names)
    assert torch.get_num_threads() == 2, "the caller's threads are its own again"


def test_what_one_item_raises_ends_the_rest(small: Base) -> None:
    begun = []

    def work(_: PreTrainedModel, item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("item 3")
        return item

    with Lanes(small.model, 2) as lanes, pytest.raises(ValueError, match="item 3"):
        list(lanes.map(work, range(1000)))
    assert max(begun) < 12


def test_a_caller_that_stops_early_leaves_nothing_under_way(small: Base) -> None:
    with Lanes(small.model, 2) as lanes:
        with closing(lanes.map(lambda _, item: item, range(1000))) as results:
            assert next(results) == 0
        assert list(lanes.map(lambda _, item: item, range(3))) == [0, 1, 2]


def test_only_a_small_model_gets_several_lanes(small: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lanes_for(small.model) == 2
    monkeypatch.setattr("engine.lm.lanes._SMALL_PARAMETERS", 10)
    assert lanes_for(small.model) == 1


@pytest.mark.parametrize(("count", "adapters"), [(2, 4), (3, 4), (2, 1)])
def test_training_is_the_same_bit_for_bit_in_any_number_of_lanes(
    small: Base, encoded: list[Encoded], count: int, adapters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.lm.passes._TOKENS_AT_ONCE", {"cpu": 300})

    def trained(lanes: int) -> list[dict[str, torch.Tensor]]:
        monkeypatch.setattr("engine.lm.lanes.lanes_for", lambda _: lanes)
        lessons = [Lesson(str(n), encoded[4 * n : 4 * n + 4], encoded[20:22]) for n in range(adapters)]
        kind = LoraForm(small.model, SHAPE)
        torch.set_num_threads(1)
        return [one.weights for one in Trainer(small.model, kind, SETTINGS, lessons, pad_id=0).fit()]

    for one, other in zip(trained(1), trained(count), strict=True):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_replies_are_the_same_in_any_number_of_lanes(
    small: Base, encoded: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [row.ids[: 20 + place] for place, row in enumerate(encoded[:12])]
    kind = LoraForm(small.model, SHAPE.model_copy(update={"rank": 2}))
    changes = []
    for number in range(12):
        weights = kind.start(seed=number)
        for name, tensor in weights.items():
            weights[name] = tensor + 0.05 * torch.randn(
                tensor.shape, generator=torch.Generator().manual_seed(7)
            )
        changes.append(change_of([(kind.lora(weights), 1.0)]))

    def replies(lanes: int) -> list[str]:
        monkeypatch.setattr("engine.lm.generate.lanes_for", lambda _: lanes)
        found = generate(small.model, small.tokenizer, prompts, changes=changes, max_new_tokens=8, rows=2)
        return [one.text for one in found]

    assert replies(1) == replies(3)
