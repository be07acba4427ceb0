"""Merges against PEFT's own and against plain algebra; tolerances are absolute, on entries of about 1."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model

from engine.core.errors import EngineError
from engine.lm.adapters import Lora, load_lora, save_lora
from engine.lm.load import load_base
from engine.lm.merge import (
    Stack,
    concatenated,
    cosines,
    dare,
    linear,
    low_rank,
    products,
    stacked,
    ties,
    truncated,
)
from engine.lm.shape import LoraShape

NAMES = ["ada", "ben", "cleo"]
WEIGHTS = [0.5, 0.3, 0.2]
TOLERANCE = 2e-5


def delta(stack: Stack, weights: torch.Tensor) -> torch.Tensor:
    """The exact weighted sum [out, in] of a module."""
    a, b = concatenated(stack, weights)
    return b @ a


@pytest.fixture(scope="module")
def peft_model(tiny_base: Path) -> PeftModel:
    """The tiny base with three adapters of random weights, as PEFT makes them."""
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(load_base(str(tiny_base)).model, config, adapter_name=NAMES[0])
    for name in NAMES[1:]:
        model.add_adapter(name, config)
    return model


@pytest.fixture(scope="module")
def stacks(peft_model: PeftModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stack]:
    """The same three adapters, saved by PEFT and read by us."""
    folder = tmp_path_factory.mktemp("adapters")
    peft_model.save_pretrained(str(folder))
    return stacked([load_lora(folder / name) for name in NAMES])


def by_peft(model: PeftModel, kind: str, weights: list[float], **options: object) -> dict[str, torch.Tensor]:
    """PEFT's merge as full matrices, by module path."""
    name = kind
    model.add_weighted_adapter(NAMES, weights, name, combination_type=kind, **options)
    found = {
        path.removeprefix("base_model.model."): module.get_delta_weight(name).detach().clone()
        for path, module in model.named_modules()
        if hasattr(module, "get_delta_weight") and path.endswith(("q_proj", "v_proj"))
    }
    model.delete_adapter(name)
    assert found
    return found


def random_stack(seed: int, n: int = 4, rank: int = 2, wide: int = 6, tall: int = 5) -> Stack:
    random = torch.Generator().manual_seed(seed)
    return Stack(torch.randn(n, rank, wide, generator=random), torch.randn(n, tall, rank, generator=random))


def plain(stack: Stack, weights: torch.Tensor) -> torch.Tensor:
    return torch.einsum("n,nor,nri->oi", weights, stack.b, stack.a)


def test_the_exact_merge_is_pefts_cat(peft_model: PeftModel, stacks: dict[str, Stack]) -> None:
    expected = by_peft(peft_model, "cat", WEIGHTS)
    assert set(expected) == set(stacks)
    for path, stack in stacks.items():
        torch.testing.assert_close(
            delta(stack, torch.tensor(WEIGHTS)), expected[path], atol=TOLERANCE, rtol=0
        )


@pytest.mark.parametrize("rank", [2, 4, 8])
def test_low_rank_is_pefts_svd(peft_model: PeftModel, stacks: dict[str, Stack], rank: int) -> None:
    expected = by_peft(peft_model, "svd", WEIGHTS, svd_rank=rank)
    for path, stack in stacks.items():
        a, b = low_rank(stack, torch.tensor(WEIGHTS), rank)
        assert (a.shape[0], b.shape[1]) == (rank, rank)
        torch.testing.assert_close(b @ a, expected[path], atol=TOLERANCE, rtol=0)


def test_ties_is_pefts_on_full_matrices(peft_model: PeftModel, stacks: dict[str, Stack]) -> None:
    # PEFT divides by how many agree, so weights of 1 are its way to say "the mean of those".
    expected = by_peft(peft_model, "ties_svd", [1.0, 1.0, 1.0], density=0.3, svd_rank=16)
    for path, stack in stacks.items():
        mine = ties(stack, torch.full((3,), 1 / 3), 0.3)
        a, b = truncated(mine, 16)
        torch.testing.assert_close(b @ a, expected[path], atol=TOLERANCE, rtol=0)


def test_linear_averages_factors_apart_and_is_not_the_average(stacks: dict[str, Stack]) -> None:
    weights = torch.tensor(WEIGHTS)
    for stack in stacks.values():
        a, b = linear(stack, weights)
        expected_a = sum(w * one for w, one in zip(WEIGHTS, stack.a, strict=True))
        expected_b = sum(w * one for w, one in zip(WEIGHTS, stack.b, strict=True))
        torch.testing.assert_close(a, expected_a)
        torch.testing.assert_close(b, expected_b)
        exact = delta(stack, weights)
        assert (b @ a - exact).norm() > 0.5 * exact.norm()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 5), rank=st.integers(1, 4))
def test_every_way_to_the_exact_sum_agrees(seed: int, n: int, rank: int) -> None:
    stack = random_stack(seed, n=n, rank=rank)
    random = torch.Generator().manual_seed(seed)
    weights = torch.rand(7, n, generator=random) * (torch.rand(7, n, generator=random) < 0.6)
    expected = torch.stack([plain(stack, row) for row in weights])
    for row, wanted in zip(weights, expected, strict=True):
        a, b = concatenated(stack, row)
        assert a.shape[0] == rank * int((row != 0).sum())
        torch.testing.assert_close(b @ a, wanted, atol=TOLERANCE, rtol=0)
        a, b = low_rank(stack, row, rank * n)
        torch.testing.assert_close(b @ a, wanted, atol=TOLERANCE, rtol=0)


def test_a_truncation_loses_no_more_than_the_spectrum_says() -> None:
    stack, weights = random_stack(3), torch.full((4,), 0.25)
    exact = delta(stack, weights)
    strengths = torch.linalg.svdvals(exact)
    a, b = low_rank(stack, weights, 2)
    torch.testing.assert_close((b @ a - exact).norm(), strengths[2:].norm(), atol=TOLERANCE, rtol=0)


def test_one_adapter_alone_comes_back_from_every_merge_but_the_sparse_ones(tmp_path: Path) -> None:
    """A round trip through files: merge with all weight on one, save as PEFT's format, read it again."""
    random = torch.Generator().manual_seed(4)
    paths = ("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj")
    loras = [
        Lora(
            {p: (torch.randn(3, 8, generator=random), torch.randn(6, 3, generator=random)) for p in paths},
            2.0,
        )
        for _ in range(3)
    ]
    stacks = stacked(loras)
    only = torch.tensor([0.0, 1.0, 0.0])
    for name, way in (("svd", lambda s: low_rank(s, only, 3)), ("linear", lambda s: linear(s, only))):
        form = LoraShape(rank=3, alpha=3, dropout=0.0, target_modules=["q_proj", "v_proj"])
        save_lora(Lora({p: way(s) for p, s in stacks.items()}, form.scale), form, tmp_path / name)
        again = load_lora(tmp_path / name)
        for path in paths:
            a, b = again.factors[path]
            mine, theirs = again.scale * b @ a, 2.0 * loras[1].factors[path][1] @ loras[1].factors[path][0]
            torch.testing.assert_close(mine, theirs, atol=TOLERANCE, rtol=0)


def test_ties_drops_what_disagrees() -> None:
    a = torch.eye(2).expand(3, 2, 2).contiguous()
    b = torch.tensor([[[3.0, 0.1], [0, 4.0]], [[1.0, 0], [0, -1.0]], [[-5.0, 0], [0, 2.0]]])
    found = ties(Stack(a, b), torch.full((3,), 1 / 3), 0.5)
    # of (3, 1, -5) the sum is negative, so -5 alone stays; of (4, -1, 2) the positive ones are averaged
    torch.testing.assert_close(found, torch.tensor([[-5.0, 0.0], [0.0, 3.0]]))


def test_dare_keeps_the_sum_on_average_and_a_density_of_one_keeps_all() -> None:
    stack, weights = random_stack(5), torch.tensor([0.4, 0.3, 0.2, 0.1])
    random = torch.Generator().manual_seed(0)
    torch.testing.assert_close(dare(stack, weights, 1.0, random=random), plain(stack, weights))
    draws = torch.stack([dare(stack, weights, 0.5, random=random) for _ in range(1500)])
    error = draws.std(dim=0) / 1500**0.5
    assert ((draws.mean(dim=0) - plain(stack, weights)).abs() < 5 * error).all()
    assert draws.std(dim=0).min() > 0.01


def test_inner_products_are_those_of_the_full_matrices(stacks: dict[str, Stack]) -> None:
    full = torch.stack(
        [torch.cat([(s.b[n] @ s.a[n]).flatten() for s in stacks.values()]) for n in range(3)]
    ).double()
    torch.testing.assert_close(products(stacks), full @ full.T, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(cosines(stacks), _cosine(full), atol=1e-5, rtol=0)


def _cosine(rows: torch.Tensor) -> torch.Tensor:
    unit = rows / rows.norm(dim=1, keepdim=True)
    return unit @ unit.T


def test_adapters_of_other_ranks_and_modules_fit_together() -> None:
    narrow = Lora({"q": (torch.ones(1, 3), torch.ones(2, 1))}, 1.0)
    wide = Lora({"q": (torch.ones(2, 3), torch.ones(2, 2)), "v": (torch.ones(2, 3), torch.ones(4, 2))}, 0.5)
    stacks = stacked([narrow, wide])
    half = torch.tensor([0.5, 0.5])
    torch.testing.assert_close(delta(stacks["q"], half), torch.full((2, 3), 0.5 + 0.5))
    torch.testing.assert_close(delta(stacks["v"], half), torch.full((4, 3), 0.5))


def test_adapters_of_another_base_are_refused() -> None:
    one = Lora({"q": (torch.ones(1, 3), torch.ones(2, 1))}, 1.0)
    other = Lora({"q": (torch.ones(1, 4), torch.ones(2, 1))}, 1.0)
    with pytest.raises(EngineError, match="different shapes"):
        stacked([one, other])
    with pytest.raises(EngineError, match="no adapters"):
        stacked([])
