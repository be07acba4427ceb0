"""Causal attention for training on a CPU: block by block, the probabilities kept for the way back.

torch's own kernel computes them again on the way back, which on a CPU costs more than keeping them: for
dialogues of a few hundred tokens this takes about half of the time there and back. Results agree to rounding.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from engine.lm.last_layer import plain_attention

NAME = "causal-blocks"
_BLOCK = 48
_LONGEST = 1024
"""Beyond so many tokens the kept probabilities would take too much memory."""


class CausalBlocks(torch.autograd.Function):
    """softmax(q k^T scale) v for q, k, v [N, T, D], each position seeing itself and what is before it."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        count, length, _ = query.shape
        out = query.new_empty(count, length, value.shape[-1])
        kept = []
        for start in range(0, length, _BLOCK):
            end = min(length, start + _BLOCK)
            scores = torch.bmm(query[:, start:end], key[:, :end].mT).mul_(scale)
            later = torch.ones(end - start, end - start, dtype=torch.bool, device=query.device).triu_(1)
            scores[:, :, start:].masked_fill_(later, -math.inf)
            shares = torch.softmax(scores, dim=-1)
            out[:, start:end] = torch.bmm(shares, value[:, :end])
            kept.append(shares)
        ctx.save_for_backward(query, key, value, out, *kept)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, out, *kept = ctx.saved_tensors
        grad = grads[0].contiguous()
        to_query = torch.empty_like(query)
        to_key, to_value = torch.zeros_like(key), torch.zeros_like(value)
        own = (grad * out).sum(dim=-1, keepdim=True)
        for number, shares in enumerate(kept):
            start, end = number * _BLOCK, min(query.shape[1], (number + 1) * _BLOCK)
            to_value[:, :end].baddbmm_(shares.mT, grad[:, start:end])
            scores = torch.bmm(grad[:, start:end], value[:, :end].mT).sub_(own[:, start:end])
            scores.mul_(shares).mul_(ctx.scale)
            to_query[:, start:end] = torch.bmm(scores, key[:, :end])
            to_key[:, :end].baddbmm_(scores.mT, query[:, start:end])
        return to_query, to_key, to_value, None


def prefer_causal_blocks(model: PreTrainedModel) -> None:
    """Let an fp32 model on the CPU whose attention is plain and causal train with it; others stay."""
    exact_on_cpu = model.device.type == "cpu" and model.dtype == torch.float32
    if exact_on_cpu and plain_attention(model):
        model.config._attn_implementation = NAME


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """Transformers' interface: query, key, value [B, H, T, D] to [B, T, H, D]."""
    rows, heads, length, size = query.shape
    usual = mask is None and not told.get("dropout") and not told.get("softcap")
    if not usual or key.shape[2] != length or length > _LONGEST or not torch.is_grad_enabled():
        return sdpa_attention_forward(module, query, key, value, mask, **told)
    groups, scale = heads // key.shape[1], told.get("scaling")
    flat = [
        one.reshape(rows * heads, length, -1)
        for one in (query, repeat_kv(key, groups), repeat_kv(value, groups))
    ]
    out: Tensor = CausalBlocks.apply(*flat, size**-0.5 if scale is None else scale)
    return out.view(rows, heads, length, -1).transpose(1, 2).contiguous(), None


ALL_ATTENTION_FUNCTIONS.register(NAME, _attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
