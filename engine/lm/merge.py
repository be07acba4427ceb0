"""Merging adapters: exact sums, and the lossy ways by name. Pure algebra over stacked factors.

An adapter changes a module's weight by B A. The exact merge of many is sum w_i B_i A_i: A's stacked, B's
scaled and side by side. Averaging A's and B's apart (`linear`) is another thing and is offered by name only.
Owns no files and no choice of weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.core.errors import EngineError
from engine.lm.adapters import Factors, Lora


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One module of N adapters: a [N, r, in] and b [N, out, r]; adapter n adds b[n] @ a[n] to the weight."""

    a: Tensor
    b: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in) of the weight."""
        return int(self.b.shape[1]), int(self.a.shape[2])


def stacked(loras: Sequence[Lora]) -> dict[str, Stack]:
    """Return the adapters module by module, their scales in b; lower ranks and missing modules are zeros.

    Raises EngineError when there are none, or when two differ in the shape of a module.
    """
    shapes: dict[str, tuple[int, int]] = {}
    rank = max((a.shape[0] for lora in loras for a, _ in lora.factors.values()), default=0)
    for lora in loras:
        for path, (a, b) in lora.factors.items():
            if shapes.setdefault(path, (b.shape[0], a.shape[1])) != (b.shape[0], a.shape[1]):
                raise EngineError(
                    f"The adapters do not fit together: {path} has different shapes in them.",
                    "Merge adapters of one base model.",
                )
    if not shapes:
        raise EngineError(
            "There are no adapters to merge.", "Train them first: python -m engine run per-persona"
        )
    stacks = {}
    for path, (tall, wide) in shapes.items():
        a = torch.zeros(len(loras), rank, wide)
        b = torch.zeros(len(loras), tall, rank)
        for row, lora in enumerate(loras):
            if path in lora.factors:
                down, up = lora.factors[path]
                a[row, : len(down)] = down
                b[row, :, : up.shape[1]] = up * lora.scale
        stacks[path] = Stack(a, b)
    return stacks


def concatenated(stack: Stack, weights: Tensor) -> Factors:
    """Return the exact weighted sum as factors A [R, in], B [out, R], R the ranks of all with a weight."""
    used = weights.nonzero().flatten()
    b = stack.b[used] * weights[used].to(stack.b.dtype)[:, None, None]
    return stack.a[used].flatten(0, 1), b.transpose(0, 1).flatten(1, 2)


def low_rank(stack: Stack, weights: Tensor, rank: int) -> Factors:
    """Return the best approximation of the exact sum (Eckart and Young): A [rank, in], B [out, rank].

    By QR of both concatenated factors and the SVD of the small core between them; the full matrix is never
    decomposed.
    """
    a, b = concatenated(stack, weights)
    left, core_left = torch.linalg.qr(b)
    right, core_right = torch.linalg.qr(a.T)
    u, strengths, vh = torch.linalg.svd(core_left @ core_right.T, full_matrices=False)
    kept = min(rank, len(strengths))
    return _of_rank(vh[:kept] @ right.T, left @ (u[:, :kept] * strengths[:kept]), rank)


def truncated(matrix: Tensor, rank: int) -> Factors:
    """Return the factors of the best approximation of rank `rank` to any matrix [out, in]."""
    u, strengths, vh = torch.linalg.svd(matrix, full_matrices=False)
    kept = min(rank, len(strengths))
    return _of_rank(vh[:kept], u[:, :kept] * strengths[:kept], rank)


def linear(stack: Stack, weights: Tensor) -> Factors:
    """Return A's and B's averaged apart, as the study did: (sum w A)(sum w B). Not the average of B A."""
    shares = weights.to(stack.a.dtype)
    return torch.einsum("n,nri->ri", shares, stack.a), torch.einsum("n,nor->or", shares, stack.b)


def ties(stack: Stack, weights: Tensor, density: float) -> Tensor:
    """Return the TIES merge [out, in] (Yadav et al. 2023): trim, elect a sign, average those that agree.

    Each adapter keeps the `density` largest entries of its B A. The sign is that of the weighted sum; an
    entry is the weighted mean over the adapters that kept it with that sign, 0 where none did.
    """
    used = weights.nonzero().flatten()
    shares = weights[used].to(stack.a.dtype)[:, None, None]
    changes = stack.b[used] @ stack.a[used]
    kept = max(1, int(density * changes[0].numel()))
    trimmed = torch.zeros_like(changes).flatten(1)
    largest = changes.flatten(1).abs().topk(kept, dim=1).indices
    trimmed.scatter_(1, largest, changes.flatten(1).gather(1, largest))
    trimmed = trimmed.view_as(changes)
    sign = torch.where((shares * trimmed).sum(dim=0) >= 0, 1.0, -1.0)
    agree = (trimmed.sign() == sign) * shares
    return (agree * trimmed).sum(dim=0) / agree.sum(dim=0).clamp_min(1e-12)


def dare(stack: Stack, weights: Tensor, density: float, *, random: torch.Generator) -> Tensor:
    """Return the DARE merge [out, in] (Yu et al. 2024): entries of each B A dropped, the rest scaled up.

    An entry stays with probability `density` and is divided by it, so the exact sum is the expected value.
    """
    total = torch.zeros(stack.shape, dtype=stack.a.dtype)
    for row in weights.nonzero().flatten().tolist():
        change = stack.b[row] @ stack.a[row]
        stays = torch.rand(change.shape, generator=random, dtype=change.dtype) < density
        total += float(weights[row]) * change * stays / density
    return total


def products(stacks: dict[str, Stack]) -> Tensor:
    """Return the inner products of all pairs of adapters, [N, N] in fp64: <B_i A_i, B_j A_j>.

    Summed over the modules, as tr((B_i^T B_j)(A_j A_i^T)), from the small factors: no B A is ever formed.
    """
    total: Tensor | None = None
    for stack in stacks.values():
        n, rank, _ = stack.a.shape
        down = stack.a.flatten(0, 1)
        up = stack.b.transpose(1, 2).flatten(0, 1)
        blocks = (down @ down.T) * (up @ up.T)
        found = blocks.view(n, rank, n, rank).double().sum(dim=(1, 3))
        total = found if total is None else total + found
    if total is None:
        raise EngineError("There are no adapters to compare.")
    return total


def cosines(stacks: dict[str, Stack]) -> Tensor:
    """Return the likeness of all pairs of adapters, [N, N] in -1..1 (0 for one that changes nothing)."""
    found = products(stacks)
    lengths = found.diagonal().clamp_min(0).sqrt().clamp_min(1e-24)
    return (found / torch.outer(lengths, lengths)).clamp(-1, 1)


def _of_rank(a: Tensor, b: Tensor, rank: int) -> Factors:
    """Pad factors with zeros: PEFT's format has one rank for all modules."""
    missing = rank - len(a)
    if missing > 0:
        a = torch.cat([a, a.new_zeros(missing, a.shape[1])])
        b = torch.cat([b, b.new_zeros(b.shape[0], missing)], dim=1)
    return a, b
