"""Leaving out what nobody reads: the last layer's feed-forward part at positions without a label.

Of the last layer's output only the positions that the head looks at are used, so its feed-forward block needs
to run there alone. The results at those positions are the same. Owns also what is known of a model's layers:
whether their attention is plain, and the shape of its keys and values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.lm.layers import refuse_prefix

PLAIN_MODELS = frozenset({"qwen2", "qwen3", "llama", "mistral", "smollm3", "gemma", "phi3", "olmo2"})
"""Architectures known to be stacks of attention and one feed-forward block that take a caller's mask."""


def plain_attention(model: PreTrainedModel) -> bool:
    """Say whether a model's attention is torch's own, causal and full in every layer."""
    kinds = set(getattr(model.config, "layer_types", None) or ())
    windowed = not kinds and getattr(model.config, "sliding_window", None)
    plain = model.config.model_type in PLAIN_MODELS and kinds <= {"full_attention"} and not windowed
    return plain and model.config._attn_implementation == "sdpa"


def key_value_shape(model: PreTrainedModel) -> tuple[int, int, int]:
    """Return (layers, key-value heads, size of a head). Raises EngineError for models that mix shapes."""
    config: Any = model.config.get_text_config()
    refuse_prefix(getattr(config, "layer_types", None))
    heads = int(config.num_attention_heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    return int(config.num_hidden_layers), int(getattr(config, "num_key_value_heads", None) or heads), size


@contextmanager
def only_at(model: PreTrainedModel, wanted: Tensor, shape: tuple[int, int] | None = None) -> Iterator[None]:
    """Run the last layer's feed-forward block at the positions `wanted` only.

    They are a mask [B, T]; or, where `shape` (B, T) is given, numbers of positions in the flat batch [M], for
    which nothing waits on a GPU.
    Elsewhere the model's last hidden states are meaningless within. Does nothing for architectures that
    are not known, and where an adapter changes that block.
    """
    block = _feed_forward(model)
    if block is None or any(part._forward_hooks for part in block.modules()):
        yield
        return
    with (
        block.register_forward_pre_hook(lambda _, inputs: (_chosen(inputs[0], wanted, shape),)),
        block.register_forward_hook(lambda _, __, output: _spread(output, wanted, shape)),
    ):
        yield


def _feed_forward(model: PreTrainedModel) -> nn.Module | None:
    if model.config.model_type not in PLAIN_MODELS:
        return None
    decoder: Any = model.get_decoder()
    block = getattr(decoder.layers[-1], "mlp", None)
    return block if isinstance(block, nn.Module) else None


def _chosen(states: Tensor, wanted: Tensor, shape: tuple[int, int] | None) -> Tensor:
    return states[wanted] if shape is None else states.flatten(0, 1).index_select(0, wanted)


def _spread(output: Tensor, wanted: Tensor, shape: tuple[int, int] | None) -> Tensor:
    if shape is None:
        whole = output.new_zeros(*wanted.shape, output.shape[-1])
        whole[wanted] = output
        return whole
    rows, width = shape
    empty = output.new_zeros(rows * width, output.shape[-1])
    return empty.index_copy(0, wanted, output).view(rows, width, -1)


def last_position(ids: Tensor) -> Tensor:
    """Return the mask [B, T] of each row's last position."""
    mask = torch.zeros_like(ids, dtype=torch.bool)
    mask[:, -1] = True
    return mask
