"""Key-value prefixes (Li and Liang 2021): trained attention keys and values that stand before the prompt.

Owns their shape, their start and PEFT's format for them. A prefix begins as the keys and values of real text,
which trains faster and stays calmer than noise; it has no projection network.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PrefixTuningConfig
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from engine.core.base_identity import peft_base
from engine.core.errors import EngineError
from engine.core.paths import read_json, whole
from engine.lm.effects import Prefix
from engine.lm.forms import Drop
from engine.lm.last_layer import key_value_shape
from engine.lm.tensor_file import load_tensors, packed

_NAME = "prefix"
_WEIGHTS, _CONFIG, _KEY = "adapter_model.safetensors", "adapter_config.json", "prompt_embeddings"


@dataclass(frozen=True, slots=True, eq=False)
class PrefixStates:
    """One prefix: `states` [P, layers * 2 * heads * size] in fp32, as PEFT stores it."""

    states: Tensor

    @property
    def length(self) -> int:
        return int(self.states.shape[0])


def fill(cache: DynamicCache, states: Tensor, model: PreTrainedModel) -> None:
    """Put prefixes [B, P, layers * 2 * heads * size] into an empty cache as its first P positions."""
    layers, heads, size = key_value_shape(model)
    rows, length, _ = states.shape
    split = states.to(model.dtype).view(rows, length, layers, 2, heads, size).permute(2, 3, 0, 4, 1, 5)
    for layer in range(layers):
        cache.update(split[layer, 0], split[layer, 1], layer)


class PrefixForm:
    """Prefixes of one length over a model, as the trainer handles them."""

    dropout = 0.0
    effect = Prefix

    def __init__(self, model: PreTrainedModel, length: int, opening: Sequence[int]) -> None:
        """`opening` holds the tokens whose keys and values a prefix starts as, repeated to its length."""
        key_value_shape(model)
        self._model, self.length = model, length
        self._opening = [opening[place % len(opening)] for place in range(length)]

    @torch.no_grad()
    def start(self, *, seed: int) -> dict[str, Tensor]:
        """Return the prefix that stands for the opening text; `seed` decides nothing."""
        cache = DynamicCache(config=self._model.config)
        decoder: Any = self._model.get_decoder()
        decoder(
            input_ids=torch.tensor([self._opening], device=self._model.device),
            past_key_values=cache,
            use_cache=True,
        )
        layers: list[Any] = list(cache.layers)
        pairs = torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in layers])
        return {_NAME: pairs.permute(3, 0, 1, 2, 4).flatten(1).float().contiguous()}

    @contextmanager
    def applied(
        self, model: PreTrainedModel, stacked: Mapping[str, Tensor], rows: Tensor, drop: Drop | None
    ) -> Iterator[dict[str, Any]]:
        cache = DynamicCache(config=model.config)
        fill(cache, stacked[_NAME][rows], model)
        yield {"past_key_values": cache}

    def save(self, tensors: Mapping[str, Tensor], folder: Path, *, base: str) -> None:
        save_prefix(PrefixStates(tensors[_NAME]), folder, self._model, base=base)


def save_prefix(prefix: PrefixStates, folder: Path, model: PreTrainedModel, *, base: str = "") -> None:
    """Write `folder` in PEFT's format; it is there whole or not at all. Replaces an older one."""
    layers, heads, size = key_value_shape(model)
    with whole(folder) as part:
        found, revision = peft_base(base)
        PrefixTuningConfig(
            task_type="CAUSAL_LM",
            inference_mode=True,
            num_virtual_tokens=prefix.length,
            token_dim=heads * size,
            num_transformer_submodules=1,
            num_attention_heads=heads,
            num_layers=layers,
            encoder_hidden_size=heads * size,
            prefix_projection=False,
            base_model_name_or_path=found,
            revision=revision,
        ).save_pretrained(str(part))
        (part / _WEIGHTS).write_bytes(packed({_KEY: prefix.states}))


def load_prefix(folder: Path) -> PrefixStates:
    """Return the prefix in a folder of PEFT's format. Raises EngineError when it is projected or missing."""
    there = not read_json(folder / _CONFIG).get("prefix_projection") and (folder / _WEIGHTS).exists()
    states = load_tensors(folder / _WEIGHTS).get(_KEY) if there else None
    if states is None:
        raise EngineError(
            f"{folder} holds no plain prefix.", "Repeat the run that makes it, without a projection."
        )
    return PrefixStates(states)
