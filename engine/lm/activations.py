"""Offsets added to what decoder layers give (steering vectors): how they act, are trained, and are stored.

Owns where a decoder's layers are, and the file of offsets: a folder like PEFT's, whose configuration says
that it holds activations. An offset acts at every position of its row alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.core.base_identity import peft_base
from engine.core.errors import EngineError
from engine.core.paths import whole, write_json
from engine.lm.effects import Activations
from engine.lm.tensor_file import load_tensors, packed

_WEIGHTS, _CONFIG, _LAYER = "adapter_model.safetensors", "adapter_config.json", "layer."


@dataclass(frozen=True, slots=True, eq=False)
class Offsets:
    """One steering: number of a decoder layer, from 0 -> what is added to its output, [d] in fp32."""

    layers: Mapping[int, Tensor]


def summed(parts: Sequence[tuple[Offsets, float]]) -> dict[int, Tensor]:
    """Return the weighted sum of offsets, layer by layer."""
    total: dict[int, Tensor] = {}
    for offsets, scale in parts:
        for layer, offset in offsets.layers.items():
            total[layer] = total[layer] + scale * offset if layer in total else scale * offset
    return total


def layer_of(model: PreTrainedModel, number: int) -> nn.Module:
    """Return one decoder layer. Raises EngineError where the model has none of that number."""
    decoder: Any = model.get_decoder()
    layers = getattr(decoder, "layers", None) or getattr(decoder, "h", None)
    if not isinstance(layers, nn.ModuleList):
        raise EngineError(
            "This base model's layers are not known, so nothing can be added to what they give."
        )
    if not 0 <= number < len(layers):
        raise EngineError(f"The base model has no layer {number}.", f"Its layers: 0 to {len(layers) - 1}.")
    return layers[number]


@contextmanager
def adding(model: PreTrainedModel, offset_of: Mapping[int, Callable[[], Tensor]]) -> Iterator[None]:
    """Add to each layer's output what its function returns then: [d], or [B, 1, d] for a batch's rows."""

    def hook(given: Callable[[], Tensor]) -> Callable[..., Any]:
        def add(_: nn.Module, __: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return (output[0] + given().to(output[0].dtype), *output[1:])
            return output + given().to(output.dtype)

        return add

    layers = [layer_of(model, number) for number in offset_of]  # all are there before the first is changed
    with ExitStack() as hooks:
        for layer, given in zip(layers, offset_of.values(), strict=True):
            hooks.enter_context(layer.register_forward_hook(hook(given)))
        yield


class OffsetsForm:
    """Offsets of some layers of a model, as the trainer handles them; they begin as nothing."""

    dropout = 0.0
    effect = Activations
    packs = True

    def __init__(self, model: PreTrainedModel, layers: Sequence[int]) -> None:
        for number in layers:
            layer_of(model, number)
        self._width = int(model.config.get_text_config().hidden_size)
        self._layers = tuple(layers)

    def start(self, *, seed: int) -> dict[str, Tensor]:
        """Return zeros, whatever the seed."""
        return {f"{_LAYER}{number}": torch.zeros(self._width) for number in self._layers}

    @contextmanager
    def applied(
        self,
        model: PreTrainedModel,
        stacked: Mapping[str, Tensor],
        rows: Tensor,
        drop: Callable[[str, Tensor], Tensor] | None,
    ) -> Iterator[dict[str, Any]]:
        own = {number: stacked[f"{_LAYER}{number}"][rows].unsqueeze(1) for number in self._layers}
        with adding(model, {number: lambda number=number: own[number] for number in own}):  # type: ignore[misc]
            yield {}

    def save(self, tensors: Mapping[str, Tensor], folder: Path, *, base: str) -> None:
        layers = {int(name.removeprefix(_LAYER)): tensor for name, tensor in tensors.items()}
        save_offsets(Offsets(layers), folder, base=base)


def save_offsets(offsets: Offsets, folder: Path, *, base: str = "") -> None:
    """Write `folder`; it is there whole or not at all. Replaces an older one."""
    with whole(folder) as part:
        write_json(
            part / _CONFIG, {"effect": Activations.kind, "base_model_name_or_path": peft_base(base)[0]}
        )
        tensors = {f"{_LAYER}{number}": offset for number, offset in offsets.layers.items()}
        (part / _WEIGHTS).write_bytes(packed(tensors))


def load_offsets(folder: Path) -> Offsets:
    """Return the offsets in a folder. Raises TornFile when they are damaged."""
    tensors = load_tensors(folder / _WEIGHTS)
    return Offsets({int(name.removeprefix(_LAYER)): tensor for name, tensor in tensors.items()})
