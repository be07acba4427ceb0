"""Many adapters over one frozen model: every row of a batch names the change that applies to it.

Owns the three ways to apply changes (kernels) and when each is used. A change is a sum of low-rank updates,
so one adapter, a stack (unified + delta) and a weighted sum of many are the same thing here; beside it stand
a prefix, offsets of activations and libraries that tokens choose from, which every kernel applies alike.

- "written": the change is added to the weights for as long as its rows are computed; best for many rows.
- "stacked": every row brings its own factors, two batched products a module; best for few rows each.
- "masked": all factors side by side in two dense products, each row keeping its own columns.
"""

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engine.lm.activations import Offsets, adding, summed
from engine.lm.adapters import Factors, Lora, added
from engine.lm.arrow import AdapterLibrary, choosing
from engine.lm.held import Held
from engine.lm.lean import ways
from engine.lm.memory import sent

Kernel = Literal["written", "stacked", "masked"]


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What effects together change in the model: module path -> factors with all scales in B, what stands
    before the prompt, `prefix` [P, ...] as in engine/lm/prefix.py, number of a decoder layer -> `offsets` [d]
    added to what it gives, and `libraries` that each token chooses from. Told apart by identity, so rows that
    share a change must share the object."""

    factors: Mapping[str, Factors]
    prefix: Tensor | None = None
    offsets: Mapping[int, Tensor] = field(default_factory=dict)
    libraries: tuple[AdapterLibrary, ...] = ()

    @property
    def acts_in_layers(self) -> bool:
        """Whether forward passes differ by it, and not what they begin with alone."""
        return bool(self.factors) or self.hooks_in

    @property
    def hooks_in(self) -> bool:
        """Whether it acts in forward passes by more than weights."""
        return bool(self.offsets or self.libraries)


def change_of(
    parts: Sequence[tuple[Lora, float]],
    prefix: Tensor | None = None,
    offsets: Sequence[tuple[Offsets, float]] = (),
    libraries: Sequence[AdapterLibrary] = (),
) -> Change | None:
    """Return the exact weighted sums of adapters and offsets, and the rest, as one change; None without."""
    if not parts and prefix is None and not offsets and not libraries:
        return None
    return Change(added(parts), prefix, summed(offsets), tuple(libraries))


@contextmanager
def written(model: PreTrainedModel, change: Change | None, *, in_place: bool = False) -> Iterator[None]:
    """Give the changed layers weights of their own, the change added; put the old ones back at the end.

    `in_place` changes the weights where they are, for captured steps know them by their place: nobody else
    may use the model meanwhile, nor another that shares them.
    """
    before: list[tuple[nn.Module, Any]] = []
    try:
        for path, (a, b) in (change.factors if change else {}).items():
            module = model.get_submodule(path)
            weight: Any = module.weight
            delta = b.to(weight.device) @ a.to(weight.device)
            changed = weight.detach().float() + (delta.T if isinstance(module, Conv1D) else delta)
            before.append((module, weight.clone() if in_place else weight))
            if in_place:
                weight.copy_(changed)
            else:
                module.weight = nn.Parameter(changed.to(weight.dtype), requires_grad=False)
        own = {number: one.to(model.device) for number, one in (change.offsets if change else {}).items()}
        libraries = dict.fromkeys(change.libraries if change else ())
        with (
            adding(model, {number: lambda number=number: own[number] for number in own}),  # type: ignore[misc]
            choosing(model, libraries),
        ):
            yield
    finally:
        for module, weight in before:
            if in_place:
                changed_weight: Any = module.weight
                changed_weight.copy_(weight)
            else:
                module.weight = weight


_SERIALS = itertools.count()


class Tables:
    """Changes side by side on a model's device: what rows of any batch are gathered from."""

    def __init__(
        self,
        model: PreTrainedModel,
        changes: Sequence[Change | None],
        *,
        kernel: Literal["stacked", "masked"] = "stacked",
    ) -> None:
        self.kernel, self.count, self.serial = kernel, len(changes), next(_SERIALS)
        self.number = {change: place for place, change in enumerate(changes)}
        factors = {
            path: _table(path, changes, model, upright=kernel == "stacked")
            for path in sorted({path for change in changes if change for path in change.factors})
        }
        self.factors = factors
        self.offsets = {
            number: _offset_table(number, changes, model)
            for number in sorted({number for change in changes if change for number in change.offsets})
        }
        self.gates = {
            library: torch.tensor(
                [float(change is not None and library in change.libraries) for change in changes],
                device=model.device,
            )
            for library in dict.fromkeys(one for change in changes if change for one in change.libraries)
        }


def bytes_of_changes(model: PreTrainedModel, changes: Sequence[Change | None]) -> int:
    """Return about what changes take side by side, each as large as the largest."""
    sizes = [sum(a.numel() + b.numel() for a, b in change.factors.values()) for change in changes if change]
    return len(changes) * max(sizes, default=0) * model.dtype.itemsize


class Rows:
    """Changes on the rows of one batch, applied while `on` is entered.

    `changes` [B] are the rows' own; None changes nothing.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        changes: Sequence[Change | None],
        *,
        tables: Tables | None = None,
        kernel: Literal["stacked", "masked"] = "stacked",
        held: Held | None = None,
    ) -> None:
        """`tables` hold the changes, and maybe those of other batches, by default these alone. `held` keeps
        what the rows bring in one place, so that a captured step finds it there."""
        tables = tables or Tables(model, list(dict.fromkeys(changes)), kernel=kernel)
        if held is not None and tables.kernel == "masked":
            raise ValueError("Masked rows have no place of their own, which captured steps need.")
        self._model, self._kernel, self._held = model, tables.kernel, held
        self._shared = held is not None and tables.count == 1
        self._names = sent([tables.number[change] for change in changes], model.device)
        self._tables, self._offsets, self._serial = tables.factors, tables.offsets, tables.serial
        self._gates = tables.gates
        self._with_factors = ways(model).with_factors if held is not None and not self._shared else None
        self._own: dict[str, tuple[Tensor, ...]] = {}
        self._own_offsets: dict[int, Tensor] = {}
        self._own_gates: dict[AdapterLibrary, Tensor] = {}
        self._choose(self._names)

    @property
    def key(self) -> Hashable:
        """What tells apart the operations that rows of different batches take: their layers and ranks."""
        ranks = tuple((path, a.shape[-1]) for path, (a, _) in self._tables.items())
        whose = self._serial if self._with_factors else None  # then factors are read where they lie
        return self._kernel, self._shared, ranks, tuple(self._offsets), tuple(self._gates), whose

    def choose(self, rows: Sequence[int]) -> None:
        """Say which rows of the batch, by their numbers, the next forward passes hold, in which order."""
        self._choose(self._names[sent(rows, self._names.device)])

    @contextmanager
    def on(self) -> Iterator[None]:
        """Apply the changes to every forward pass within."""
        with ExitStack() as hooks:
            for path in self._tables:
                hook = self._model.get_submodule(path).register_forward_hook(
                    lambda _, inputs, output, path=path: self._changed(path, inputs[0], output)
                )
                hooks.enter_context(hook)
            hooks.enter_context(
                adding(self._model, {number: self._offset_of(number) for number in self._offsets})
            )
            hooks.enter_context(choosing(self._model, {one: self._gate_of(one) for one in self._gates}))
            yield

    def _offset_of(self, number: int) -> Callable[[], Tensor]:
        return lambda: self._own_offsets[number]

    def _gate_of(self, library: AdapterLibrary) -> Callable[[], Tensor]:
        return lambda: self._own_gates[library]

    def _choose(self, names: Tensor) -> None:
        self._count, self._own = len(names), {}
        for number, table in self._offsets.items():
            self._own_offsets[number] = self._gathered(f"offset {number}", table, names).unsqueeze(1)
        for number, (library, table) in enumerate(self._gates.items()):
            self._own_gates[library] = self._gathered(f"library {number}", table, names)
        self._whose = names[:1] if self._shared else names
        if self._with_factors is not None:
            self._whose = self._gathered("names", names, torch.arange(len(names), device=names.device))
        elif self._held is not None:  # a captured step gathers nothing
            self._own = {path: self._factors_of(path) for path in self._tables}

    def _changed(self, path: str, given: Tensor, output: Tensor) -> Tensor:
        """Return a layer's output with what each row's own factors make of what the layer is given."""
        x = by_row(given, self._count)
        if self._with_factors is not None and x.shape[1] == 1:
            whole = output.view(self._count, 1, -1)
            return self._with_factors(x, *self._tables[path], self._whose, whole).view(output.shape)
        if path not in self._own:
            self._own[path] = self._factors_of(path)
        apply = (
            _apply_masked if self._kernel == "masked" else _apply_shared if self._shared else _apply_stacked
        )
        return output + apply(x, *self._own[path]).view(output.shape)

    def _factors_of(self, path: str) -> tuple[Tensor, ...]:
        a, b = self._tables[path]
        if self._kernel == "stacked":
            return self._gathered(f"{path} A", a, self._whose), self._gathered(f"{path} B", b, self._whose)
        count, rank, wide = a.shape
        mine = a.new_zeros(len(self._whose), 1, count, rank)
        mine[torch.arange(len(self._whose)), 0, self._whose] = 1
        return a.reshape(count * rank, wide), mine.flatten(2), b.transpose(0, 1).flatten(1)

    def _gathered(self, name: str, table: Tensor, names: Tensor) -> Tensor:
        return table[names] if self._held is None else self._held.put(name, table, names)


def _table(
    path: str, changes: Sequence[Change | None], model: PreTrainedModel, *, upright: bool
) -> tuple[Tensor, Tensor]:
    """Return A [N, R, in] and B [N, out, R] of one module, padded with zeros to the highest rank.

    `upright` turns each factor over: A [N, in, R] and B [N, R, out].
    """
    pairs = [change.factors.get(path) if change else None for change in changes]
    some = next(pair for pair in pairs if pair is not None)
    most = max(pair[0].shape[0] for pair in pairs if pair is not None)
    a = torch.stack(
        [some[0].new_zeros(most, some[0].shape[1]) if p is None else _pad(p[0], most, 0) for p in pairs]
    )
    b = torch.stack(
        [some[1].new_zeros(some[1].shape[0], most) if p is None else _pad(p[1], most, 1) for p in pairs]
    )
    there = [one.to(model.device) for one in (a, b)]  # a GPU rounds and turns faster than what feeds it
    if upright:
        there = [one.transpose(1, 2) for one in there]
    rounded = (one.to(model.dtype, memory_format=torch.contiguous_format) for one in there)
    first, second = (one.contiguous() for one in rounded)  # `to` lays out anew only what it rounds
    return first, second


def _offset_table(number: int, changes: Sequence[Change | None], model: PreTrainedModel) -> Tensor:
    """Return the offsets [N, d] of one layer, zero where a change has none."""
    found = [change.offsets.get(number) if change else None for change in changes]
    some = next(one for one in found if one is not None)
    table = torch.stack([some.new_zeros(some.shape) if one is None else one for one in found])
    return table.to(model.device, model.dtype)


def _pad(factor: Tensor, rank: int, axis: int) -> Tensor:
    missing = rank - factor.shape[axis]
    return factor if not missing else pad(factor, (0, 0, 0, missing) if axis == 0 else (0, missing))


def by_row(x: Tensor, rows: int) -> Tensor:
    """Return what a layer is given as [B, T, in]; experts that all tokens share get it as [B T, in]."""
    return x if x.dim() == 3 else x.reshape(rows, -1, x.shape[-1])


def _apply_stacked(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.bmm(torch.bmm(x, a), b)


def _apply_shared(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return (x @ a[0]) @ b[0]


def _apply_masked(x: Tensor, a: Tensor, mine: Tensor, b: Tensor) -> Tensor:
    return linear(linear(x, a) * mine, b)


Masks = Callable[[str, Tensor], Tensor]


@contextmanager
def trainable(
    model: PreTrainedModel, factors: Mapping[str, Factors], rows: Tensor, drop: Masks | None = None
) -> Iterator[None]:
    """Apply stacked factors A [G, r, in] and B [G, out, r] that take gradients; `rows` [B] names each row's.

    `drop` is called with the module's path and its input x [B, T, in], before A; it returns x with dropout.
    """

    def hook(path: str, a: Tensor, b: Tensor) -> Callable[..., Tensor]:
        if len(a) == 1:
            return lambda _, inputs, output: (
                output + linear(linear(_seen(path, inputs[0]), a[0]), b[0]).view(output.shape)
            )
        a_rows, b_rows = a.index_select(0, rows).mT, b.index_select(0, rows).mT
        return lambda _, inputs, output: (
            output + torch.bmm(torch.bmm(_seen(path, inputs[0]), a_rows), b_rows).view(output.shape)
        )

    def _seen(path: str, x: Tensor) -> Tensor:
        x = by_row(x, len(rows))
        return x if drop is None else drop(path, x)

    with ExitStack() as hooks:
        for path, (a, b) in factors.items():
            acting = hook(path, a.to(model.dtype), b.to(model.dtype))
            hooks.enter_context(model.get_submodule(path).register_forward_hook(acting))
        yield
