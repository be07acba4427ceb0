"""Learned merges: they act as the exact merge of their weights, and the weights follow the loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from engine.lm.adapters import Lora
from engine.lm.bank import Change, written
from engine.lm.encode import Encoded
from engine.lm.forms import LoraForm
from engine.lm.load import Base, load_base
from engine.lm.merge import Stack, concatenated, stacked
from engine.lm.merge_learned import MixForm, learn
from engine.lm.shape import LoraShape
from engine.lm.train import Hooks, Lesson, Trainer, TrainSettings, evaluate_loss

FORM = LoraShape(rank=2, alpha=4, dropout=0.0, target_modules=["q_proj", "v_proj"])


@pytest.fixture(scope="module")
def stacks(base: Base) -> dict[str, Stack]:
    """Three adapters of random weights."""
    return stacked([random_lora(base, seed) for seed in range(3)])


def random_lora(base: Base, seed: int, size: float = 0.1) -> Lora:
    kind = LoraForm(base.model, FORM)
    random = torch.Generator().manual_seed(seed)
    start = kind.start(seed=seed)
    return kind.lora({name: size * torch.randn(t.shape, generator=random) for name, t in start.items()})


def test_rows_of_a_batch_each_get_their_own_exact_merge(base: Base, stacks: dict[str, Stack]) -> None:
    ids = torch.randint(3, 200, (2, 9), generator=torch.Generator().manual_seed(0))
    logits = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]])
    with torch.no_grad(), MixForm(stacks).applied(base.model, {"mix": logits}, torch.tensor([1, 0]), None):
        found = base.model(input_ids=ids).logits
    for row, which in ((0, 1), (1, 0)):
        shares = torch.softmax(logits[which], dim=0)
        change = Change({path: concatenated(stack, shares) for path, stack in stacks.items()})
        with torch.no_grad(), written(base.model, change):
            expected = base.model(input_ids=ids[row : row + 1]).logits
        torch.testing.assert_close(found[row : row + 1], expected, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        assert not torch.allclose(base.model(input_ids=ids).logits, found, atol=1e-2)


def test_an_adapter_that_knows_the_dialogues_gets_the_weight(base: Base, encoded: list[Encoded]) -> None:
    rows = encoded[:8]
    kind = LoraForm(base.model, FORM)
    settings = TrainSettings(epochs=3, batch_size=4, learning_rate=0.01)
    (trained,) = Trainer(base.model, kind, settings, [Lesson("own", rows)], pad_id=0).fit()
    loras = [random_lora(base, 5, size=0.5), kind.lora(trained.weights), random_lora(base, 6, size=0.5)]
    stacks = stacked(loras)
    fit = TrainSettings(epochs=6, batch_size=4, learning_rate=0.3, weight_decay=0.0)
    learned = learn(base.model, stacks, rows, fit, name="cluster-0", pad_id=0, hooks=Hooks())
    shares = next(iter(learned.values()))
    assert all(torch.equal(own, shares) for own in learned.values())
    assert float(shares.sum()) == pytest.approx(1.0, abs=1e-6)
    assert int(shares.argmax()) == 1
    assert float(shares[1]) > 0.5

    def loss(weights: torch.Tensor) -> float:
        change = Change({path: concatenated(stack, weights) for path, stack in stacks.items()})
        with written(base.model, change):
            return evaluate_loss(base.model, rows, pad_id=0)

    assert loss(shares) < loss(torch.full((3,), 1 / 3)) - 0.01


def test_a_strong_pull_keeps_weights_even(
    base: Base, stacks: dict[str, Stack], encoded: list[Encoded]
) -> None:
    fit = TrainSettings(epochs=3, batch_size=4, learning_rate=0.1, weight_decay=0.0)
    free, held = (
        next(
            iter(learn(base.model, stacks, encoded[:8], settings, name="c", pad_id=0, hooks=Hooks()).values())
        )
        for settings in (
            fit,
            TrainSettings(epochs=3, batch_size=4, learning_rate=0.1, weight_decay=0.0, l2=100),
        )
    )
    assert held.max() - held.min() < free.max() - free.min()


def test_each_layer_finds_the_adapter_that_is_good_there(base: Base, encoded: list[Encoded]) -> None:
    """One adapter knows the dialogues in layer 0 and goes the wrong way in layer 1, the other vice versa."""
    rows, kind = encoded[:8], LoraForm(base.model, FORM)
    settings = TrainSettings(epochs=3, batch_size=4, learning_rate=0.01)
    (trained,) = Trainer(base.model, kind, settings, [Lesson("own", rows)], pad_id=0).fit()
    good = kind.lora(trained.weights)

    def with_good_in(layer: str) -> Lora:
        parts = {path: (a, b if layer in path else -b) for path, (a, b) in good.factors.items()}
        return Lora(parts, good.scale)

    stacks = stacked([with_good_in("layers.0."), with_good_in("layers.1.")])
    fit = TrainSettings(epochs=6, batch_size=4, learning_rate=0.3, weight_decay=0.0)
    found = {
        by_layer: learn(base.model, stacks, rows, fit, name="c", pad_id=0, hooks=Hooks(), by_layer=by_layer)
        for by_layer in (False, True)
    }
    for path, shares in found[True].items():
        assert float(shares.sum()) == pytest.approx(1.0, abs=1e-6)
        assert int(shares.argmax()) == (0 if "layers.0." in path else 1), path

    def loss(weights: dict[str, torch.Tensor]) -> float:
        change = Change({path: concatenated(stack, weights[path]) for path, stack in stacks.items()})
        with written(base.model, change):
            return evaluate_loss(base.model, rows, pad_id=0)

    assert loss(found[True]) < loss(found[False]) - 0.01


def test_a_learned_merge_loads_in_peft(
    base: Base, tiny_base: Path, stacks: dict[str, Stack], tmp_path: Path
) -> None:
    mix = torch.tensor([1.0, 0.0, -1.0])
    MixForm(stacks).save({"mix": mix}, tmp_path / "merged", base=base.name)
    model = PeftModel.from_pretrained(load_base(str(tiny_base)).model, tmp_path / "merged")
    for path, stack in stacks.items():
        a, b = concatenated(stack, torch.softmax(mix, dim=0))
        delta = model.get_submodule(f"base_model.model.{path}").get_delta_weight("default")
        torch.testing.assert_close(delta, b @ a, atol=1e-5, rtol=0)
