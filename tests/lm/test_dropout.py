"""Dropout from a counter: as random as drawn, and the same wherever an entry stands."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.lm.dropout import Dropout, _words, kept
from engine.lm.forms import seed_of

WIDE = 192


def falls(
    share: float, seeds: list[int], places: range, module: str = "layers.0.q_proj", wide: int = WIDE
) -> Tensor:
    """Which of ones [rows, places, wide] fall."""
    drop = Dropout(share, torch.tensor([[seed] for seed in seeds]), torch.tensor([list(places)]))
    return drop(module, torch.ones(len(seeds), len(places), wide)) == 0


def seeds_of(*words: object, count: int) -> list[int]:
    return [seed_of(*words, number) for number in range(count)]


def unlikely(observed: Tensor, expected: Tensor, free: int) -> float:
    """How many standard deviations a chi-square statistic is above its mean (Wilson and Hilferty)."""
    statistic = float(((observed - expected) ** 2 / expected).sum())
    spread = 2 / (9 * free)
    return ((statistic / free) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5])
def test_as_many_fall_as_the_share_says_and_the_mean_stays(share: float) -> None:
    fallen = falls(share, seeds_of("share", share, count=64), range(200))
    count = fallen.numel()
    assert abs(float(fallen.float().mean()) - share) < 2**-16 + 4 * math.sqrt(share * (1 - share) / count)
    drop = Dropout(share, torch.tensor([[7]]), torch.arange(2000)[None])
    out = drop("q", torch.ones(1, 2000, WIDE))
    (scale,) = out[out != 0].unique().tolist()
    assert scale == pytest.approx(1 / (1 - share), rel=1e-4)


@pytest.mark.parametrize("axis", ["row", "place", "feature"])
def test_every_row_place_and_feature_loses_its_share(axis: str) -> None:
    share = 0.1
    fallen = falls(share, seeds_of("each", count=128), range(128), wide=128)
    dims = {"row": (1, 2), "place": (0, 2), "feature": (0, 1)}[axis]
    lost = fallen.sum(dim=dims).float()
    each = 128 * 128
    counts = torch.stack([lost, each - lost])
    expected = torch.tensor([[each * share], [each * (1 - share)]]).expand_as(counts)
    assert abs(unlikely(counts, expected, len(lost))) < 4


def _neighbours(kind: str) -> tuple[Tensor, Tensor]:
    """Two sets of entries that differ in one thing only."""
    seeds = seeds_of("apart", count=200)
    one = falls(0.3, seeds, range(200))
    if kind == "rows":
        return one[:-1], one[1:]
    if kind == "seeds that follow one another":
        return falls(0.3, list(range(200)), range(200)), falls(0.3, list(range(1, 201)), range(200))
    if kind == "places":
        return one[:, :-1], one[:, 1:]
    if kind == "features that share a word":
        return one[..., 0::2], one[..., 1::2]
    if kind == "features that share none":
        return one[..., :-2], one[..., 2:]
    if kind == "modules":
        return one, falls(0.3, seeds, range(200), "layers.0.v_proj")
    return one, falls(0.3, seeds_of("apart", "next step", count=200), range(200))


@pytest.mark.parametrize(
    "kind",
    [
        "rows",
        "seeds that follow one another",
        "places",
        "features that share a word",
        "features that share none",
        "modules",
        "steps",
    ],
)
def test_what_falls_tells_nothing_of_what_else_falls(kind: str) -> None:
    """Chi-square of the four-field table of entries that differ in one thing, over seven million pairs."""
    one, other = _neighbours(kind)
    both = torch.stack([one & other, one & ~other, ~one & other, ~one & ~other])
    observed = both.flatten(1).sum(dim=1).double()
    chances = torch.tensor([0.3 * 0.3, 0.3 * 0.7, 0.7 * 0.3, 0.7 * 0.7], dtype=torch.float64)
    assert unlikely(observed, chances * observed.sum(), 3) < 4


def test_no_two_tokens_of_a_step_have_the_same_mask() -> None:
    fallen = falls(0.05, seeds_of("tokens", count=100), range(300))
    assert len(fallen.flatten(0, 1).unique(dim=0)) > 0.999 * 100 * 300  # by chance a few fall alike


def test_numbers_of_falls_of_a_token_are_spread_as_by_chance() -> None:
    """Binomial: what one token loses does not depend on what its other features lose."""
    share, wide = 0.1, 64
    lost = falls(share, seeds_of("spread", count=200), range(300), wide=wide).sum(dim=-1).flatten()
    most = 16
    observed = torch.bincount(lost.clamp(max=most), minlength=most + 1).double()
    chances = [math.comb(wide, n) * share**n * (1 - share) ** (wide - n) for n in range(most)]
    expected = torch.tensor([*chances, 1 - sum(chances)], dtype=torch.float64) * len(lost)
    assert unlikely(observed, expected, most) < 4


def test_neighbours_padding_and_packing_change_no_mask() -> None:
    """A row alone, a row among others with padding, and two rows one after another in one."""
    drop, x = Dropout(0.3, torch.tensor([[11]]), torch.arange(5)[None]), torch.ones(1, 5, 7)
    alone = drop("q", x)
    among = Dropout(0.3, torch.tensor([[5], [11]]), torch.arange(9)[None])("q", torch.ones(2, 9, 7))
    assert torch.equal(among[1, :5], alone[0])
    streams, places = torch.tensor([[5] * 4 + [11] * 5]), torch.tensor([[*range(4), *range(5)]])
    packed = Dropout(0.3, streams, places)("q", torch.ones(1, 9, 7))
    assert torch.equal(packed[0, 4:], alone[0])
    assert torch.equal(packed[0, :4], among[0, :4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wide", [192, 193])
def test_the_mask_is_the_one_of_the_formula(dtype: torch.dtype, wide: int) -> None:
    """One entry after another in Python's own integers: what every device has to compute."""
    random = torch.Generator().manual_seed(0)
    low, high = (
        torch.randint(-(2**31), 2**31, (6, 1), generator=random, dtype=torch.int32) for _ in range(2)
    )
    limit = round(0.3 * 2**15)
    words = _words(-(-wide // 2), low.device).tolist()
    expected = [
        [formula(int(a), int(b), words[feature // 2], feature % 2) >= limit for feature in range(wide)]
        for a, b in zip(low, high, strict=True)
    ]
    assert torch.equal(kept(low, high, wide, limit, dtype), torch.tensor(expected).to(dtype))


def formula(low: int, high: int, word: int, half: int) -> int:
    word = (low ^ word) & 0xFFFFFFFF
    word = ((word ^ (word >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    word = ((word ^ (word >> 15) ^ (high & 0xFFFFFFFF)) * 0xD35A2D97) & 0xFFFFFFFF
    word ^= word >> 15
    return (word >> (16 * half)) & 0x7FFF


def test_the_way_back_goes_through_the_same_mask() -> None:
    drop = Dropout(0.5, torch.tensor([[3]]), torch.arange(50)[None])
    x = torch.ones(1, 50, 20, requires_grad=True)
    out = drop("q", x)
    out.sum().backward()
    assert torch.equal(x.grad, out)
    assert 0.4 < float((out == 0).float().mean()) < 0.6


@pytest.mark.parametrize(("share", "stays"), [(0.0, 1.0), (0.99999, 1 / 2**15)])
def test_the_ends_of_the_range_are_sound(share: float, stays: float) -> None:
    fallen = falls(share, [1], range(3000))
    assert 1 - float(fallen.float().mean()) == pytest.approx(stays, abs=1e-4)
