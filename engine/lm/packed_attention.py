"""Causal attention over dialogues that lie one after another: each sees itself only.

On a GPU in half precision by torch's variable-length kernel; elsewhere the dialogues are laid side by side
for the attention alone. No mask is ever made: transformers makes none for an implementation it does not know.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from engine.lm.fused import agree, fuse, has_parts, kernels_on

NAME = "packed"
_WIDEST_HEAD = 256
_PROBED = 16
Turn = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Turns queries or keys [N, H, D] by the cos and sin [N, D] of their places."""


def prefer_packed(model: PreTrainedModel) -> None:
    """Let a model attend within dialogues, and fuse what a GPU can; its calls then need `begins_of`."""
    fuse(model)
    kernels = kernels_on(model.device)
    if kernels is not None:
        shorten(model, kernels.Turned.apply)
    model.config._attn_implementation = NAME


def shorten(model: PreTrainedModel, turn: Turn) -> None:
    """Let attention whose positions are the usual rotary ones turn queries and keys by `turn`.

    Measured on each of its modules, whose own forward pass must give the same up to rounding: in some models
    a few layers turn nothing.
    """
    decoder: Any = model.get_decoder()
    for module in decoder.modules():
        if has_parts(module, "q_proj", "k_proj", "v_proj", "o_proj") and _agrees(decoder, module, turn):
            module.forward = partial(_attended, module, turn)


@torch.no_grad()
def _agrees(decoder: Any, module: Any, turn: Turn) -> bool:
    weight = module.q_proj.weight
    if not (hasattr(decoder, "rotary_emb") and hasattr(module, "scaling") and hasattr(module, "head_dim")):
        return False
    random = torch.Generator().manual_seed(0)
    probed = torch.randn(1, _PROBED, weight.shape[1], generator=random).to(weight.device, weight.dtype)
    turns = decoder.rotary_emb(probed, torch.arange(_PROBED, device=weight.device).unsqueeze(0))
    begins = torch.tensor([0, _PROBED], dtype=torch.int32, device=weight.device)
    own, _ = module(hidden_states=probed, position_embeddings=turns, attention_mask=None)
    ours, _ = _attended(module, turn, probed, turns, **begins_of(begins, _PROBED))
    return agree(own, ours)


def _attended(
    module: Any, turn: Turn, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor], **more: Any
) -> tuple[Tensor, None]:
    """What an attention module does, without a detour over [B, H, T, D]."""
    shape, size = hidden_states.shape[:2], module.head_dim
    query, key, value = (
        part(hidden_states).view(shape.numel(), -1, size)
        for part in (module.q_proj, module.k_proj, module.v_proj)
    )
    cos, sin = (one.expand(*shape, size).reshape(-1, size) for one in position_embeddings)
    out = attend(turn(query, cos, sin), turn(key, cos, sin), value, scale=module.scaling, **more)
    done: Tensor = module.o_proj(out.view(*shape, -1))
    return done, None


def begins_of(begins: Tensor, longest: int) -> dict[str, Any]:
    """Return the arguments that tell a model where dialogues begin [D + 1] (int32) and how long they are."""
    return {
        "cu_seq_lens_q": begins,
        "cu_seq_lens_k": begins,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """Transformers' interface: query, key, value [B, H, T, D] to [B, T, H, D]."""
    rows, _, length, size = query.shape
    flat = [one.transpose(1, 2).reshape(rows * length, -1, one.shape[-1]) for one in (query, key, value)]
    scale = told.get("scaling")
    out = attend(*flat, scale=size**-0.5 if scale is None else scale, **told)
    return out.view(rows, length, -1, value.shape[-1]), None


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    **_: Any,
) -> Tensor:
    """Return what queries see in keys and values [N, H, D], within dialogues that begin at given places."""
    begins, longest = cu_seq_lens_q, max_length_q
    if not _has_kernel(query, value):
        return _side_by_side(query, key, value, begins, longest, scale)
    return torch.ops.aten._flash_attention_forward(
        query, key, value, begins, begins, longest, longest, 0.0, True, False, scale=scale
    )[0]


def _has_kernel(query: Tensor, value: Tensor) -> bool:
    size = query.shape[-1]
    fits = size == value.shape[-1] and size <= _WIDEST_HEAD and size % 8 == 0
    half = query.dtype in (torch.bfloat16, torch.float16)
    return query.is_cuda and half and fits and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _side_by_side(
    query: Tensor, key: Tensor, value: Tensor, begins: Tensor, longest: int, scale: float
) -> Tensor:
    """Attend within dialogues of tokens [N, H, D]: what stands behind one's end is seen by nothing of it."""
    places = torch.arange(len(query), device=query.device)
    ahead = torch.arange(longest, device=query.device)
    taken = (begins[:-1, None].long() + ahead).clamp_(max=len(query) - 1)
    query, key, value = (one[taken].transpose(1, 2) for one in (query, key, value))
    shared = key.shape[1] != query.shape[1]
    out = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=shared)
    owner = torch.searchsorted(begins[1:].contiguous(), places, right=True)
    back = owner * longest + places - begins[owner]
    return out.transpose(1, 2).flatten(0, 1)[back]


ALL_ATTENTION_FUNCTIONS.register(NAME, _attention)
