"""Causal attention over dialogues that lie one after another: each sees itself only.

On a GPU in half precision by torch's variable-length kernel; elsewhere the dialogues are laid side by side
for the attention alone. No mask is ever made: transformers makes none for an implementation it does not know.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from engine.lm.fused import fuse
from engine.lm.last_layer import PLAIN_MODELS

NAME = "packed"
_WIDEST_HEAD = 256


def takes_packed(model: PreTrainedModel) -> bool:
    """Say whether a model's attention can be told where dialogues begin: plain, causal and full."""
    kinds = set(getattr(model.config, "layer_types", None) or ())
    windowed = not kinds and getattr(model.config, "sliding_window", None)
    plain = model.config.model_type in PLAIN_MODELS and kinds <= {"full_attention"} and not windowed
    return plain and model.config._attn_implementation == "sdpa"


def prefer_packed(model: PreTrainedModel) -> None:
    """Let a model attend within dialogues, and fuse what a GPU can; its calls then need `begins_of`."""
    fuse(model)
    model.config._attn_implementation = NAME


def begins_of(begins: Tensor, longest: int) -> dict[str, Any]:
    """Return the arguments that tell a model where dialogues begin [D + 1] (int32) and how long they are."""
    return {
        "cu_seq_lens_q": begins,
        "cu_seq_lens_k": begins,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Transformers' interface: query, key, value [B, H, T, D] to [B, T, H, D]."""
    rows, _, length, size = query.shape
    begins, longest = more["cu_seq_lens_q"], more["max_length_q"]
    scale = size**-0.5 if scaling is None else scaling
    flat = [one.transpose(1, 2).reshape(rows * length, -1, one.shape[-1]) for one in (query, key, value)]
    if _has_kernel(query, value):
        out = torch.ops.aten._flash_attention_forward(
            *flat, begins, begins, longest, longest, 0.0, True, False, scale=scale
        )[0]
    else:
        out = _side_by_side(*flat, begins, longest, scale)
    return out.view(rows, length, -1, value.shape[-1]), None


def _has_kernel(query: Tensor, value: Tensor) -> bool:
    size = query.shape[-1]
    fits = query.shape[-1] == value.shape[-1] and size <= _WIDEST_HEAD and size % 8 == 0
    half = query.dtype in (torch.bfloat16, torch.float16)
    return query.is_cuda and half and fits and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _side_by_side(
    query: Tensor, key: Tensor, value: Tensor, begins: Tensor, longest: int, scale: float
) -> Tensor:
    """Attend within dialogues of tokens [N, H, D]: what stands behind one's end is seen by nothing of it."""
    places = torch.arange(len(query), device=query.device)
    ahead = torch.arange(longest, device=query.device)
    taken = (begins[:-1, None].long() + ahead).clamp_(max=len(query) - 1)
    out = scaled_dot_product_attention(
        *(one[taken].transpose(1, 2) for one in (query, key, value)),
        is_causal=True, scale=scale, enable_gqa=key.shape[1] != query.shape[1],
    )  # fmt: skip
    owner = torch.searchsorted(begins[1:].contiguous(), places, right=True)
    back = owner * longest + places - begins[owner]
    return out.transpose(1, 2).flatten(0, 1)[back]


ALL_ATTENTION_FUNCTIONS.register(NAME, _attention)
