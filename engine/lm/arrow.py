"""Adapters among which every token chooses by its own input (Arrow): how they act, and how they are stored.

Of one layer's change B A the direction that it reads most, v, is its first right singular vector. A token
with the input x takes the `top_k` adapters with the largest |v x|, each with its softmax share at
`temperature` (Ostapenko et al. 2024, arXiv 2405.11157). Owns these equations and the file of such a library:
a folder like PEFT's, whose configuration says that it holds one. What is chosen differs from token to token
and from layer to layer, so no weights are the same thing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from engine.core.base_identity import peft_base
from engine.core.paths import TornFile, read_json, whole, write_json
from engine.lm.adapters import Lora
from engine.lm.effects import Library
from engine.lm.merge import stacked
from engine.lm.tensor_file import load_tensors, packed

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PARTS = ("A", "B", "direction")


@dataclass(frozen=True, slots=True)
class Shelved:
    """One module of N adapters: a [N, r, in], b [N, out, r] with the scales, unit direction [N, in]."""

    a: Tensor
    b: Tensor
    direction: Tensor

    def chosen(self, x: Tensor, top_k: int, temperature: float) -> Tensor:
        """Return what the adapters that each token takes give for x [..., in], [..., out]."""
        count, rank, _ = self.a.shape
        found = linear(x, self.direction).abs().float().topk(min(top_k, count))
        taken = torch.softmax(found.values / temperature, dim=-1)
        shares = torch.zeros(*x.shape[:-1], count, device=x.device).scatter(-1, found.indices, taken)
        low = linear(x, self.a.flatten(0, 1)).unflatten(-1, (count, rank)) * shares.to(x.dtype).unsqueeze(-1)
        return linear(low.flatten(-2), self.b.transpose(0, 1).flatten(1))


@dataclass(frozen=True, slots=True, eq=False)
class AdapterLibrary:
    """A library: module path -> its adapters in fp32. Told apart by identity."""

    modules: Mapping[str, Shelved]
    top_k: int
    temperature: float
    _there: dict[tuple[torch.device, torch.dtype], Mapping[str, Shelved]] = field(default_factory=dict)

    def on(self, model: PreTrainedModel) -> Mapping[str, Shelved]:
        """Return the modules on a model's device and in its numbers, which are made once."""
        where = (model.device, model.dtype)
        if where not in self._there:
            self._there[where] = {
                path: Shelved(*(part.to(*where) for part in (one.a, one.b, one.direction)))
                for path, one in self.modules.items()
            }
        return self._there[where]


def library_of(loras: Sequence[Lora], *, top_k: int, temperature: float) -> AdapterLibrary:
    """Return adapters as a library. Raises EngineError where there are none or they do not fit together."""
    modules = {
        path: Shelved(
            stack.a, stack.b, torch.stack([direction(*pair) for pair in zip(stack.a, stack.b, strict=True)])
        )
        for path, stack in stacked(loras).items()
    }
    return AdapterLibrary(modules, top_k, temperature)


def direction(a: Tensor, b: Tensor) -> Tensor:
    """Return the first right singular vector of B A [out, in], [in]; zeros where B A is zero.

    Of A's QR and the SVD of the small core; the full matrix is never made. Its sign means nothing.
    """
    basis, core = torch.linalg.qr(a.T.double())
    _, strengths, vh = torch.linalg.svd(b.double() @ core.T, full_matrices=False)
    return (basis @ vh[0] * (strengths[0] > 0)).to(a.dtype)


@contextmanager
def choosing(
    model: PreTrainedModel, gates: Mapping[AdapterLibrary, Callable[[], Tensor] | None]
) -> Iterator[None]:
    """Let tokens choose among each library's adapters; a gate gives [B], 1 for rows that have it, or 0."""

    def hook(
        one: Shelved, library: AdapterLibrary, gate: Callable[[], Tensor] | None
    ) -> Callable[..., Tensor]:
        def add(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            more = one.chosen(inputs[0], library.top_k, library.temperature)
            if gate is not None:
                own = gate()
                by_row = more.reshape(len(own), -1, more.shape[-1])  # experts that all share get [B T, in]
                more = (by_row * own.to(more.dtype)[:, None, None]).view(more.shape)
            return output + more

        return add

    with ExitStack() as hooks:
        for library, gate in gates.items():
            for path, one in library.on(model).items():
                module = model.get_submodule(path)
                hooks.enter_context(module.register_forward_hook(hook(one, library, gate)))
        yield


def save_library(library: AdapterLibrary, folder: Path, *, base: str = "") -> None:
    """Write `folder`; it is there whole or not at all. Replaces an older one."""
    with whole(folder) as part:
        told = {"top_k": library.top_k, "temperature": library.temperature}
        write_json(
            part / _CONFIG, {"effect": Library.kind, "base_model_name_or_path": peft_base(base)[0], **told}
        )
        tensors = {
            f"{path}.{name}": tensor
            for path, one in library.modules.items()
            for name, tensor in zip(_PARTS, (one.a, one.b, one.direction), strict=True)
        }
        (part / _WEIGHTS).write_bytes(packed(tensors))


def load_library(folder: Path) -> AdapterLibrary:
    """Return the library in a folder. Raises TornFile when it is damaged."""
    told, tensors = read_json(folder / _CONFIG), load_tensors(folder / _WEIGHTS)
    try:
        paths = sorted({name.rpartition(".")[0] for name in tensors})
        modules = {path: Shelved(*(tensors[f"{path}.{name}"] for name in _PARTS)) for path in paths}
        return AdapterLibrary(modules, int(told["top_k"]), float(told["temperature"]))
    except (ValueError, KeyError) as error:
        raise TornFile(folder / _WEIGHTS, f"is damaged: {error}", "Repeat the run that makes it.") from error
