"""The loss of replies under a frozen head: cross-entropy where there are labels, chunk by chunk.

It is the model's own loss: what a model does to its logits after the head belongs to it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from engine.lm.fused import gpu_kernels
from engine.lm.tail import is_bare_matrix, logits_of

_CHUNK_BYTES, _CHUNK_BYTES_GPU = 64 * 1024 * 1024, 1 << 30


class _FrozenHead(torch.autograd.Function):
    """Cross-entropy of hidden @ weight.T without ever holding all logits; their gradient is made at once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, wanted: Tensor, rows: int) -> Tensor:
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        backward = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        kernels = gpu_kernels() if hidden.is_cuda else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits = hidden[part] @ weight.T
            if kernels is not None:
                kernels.losses_of(logits, wanted[part], losses[part], back=backward is not None)
                if backward is not None:
                    torch.mm(logits, weight, out=backward[part])
                continue
            logits = logits.float()
            names = wanted[part].unsqueeze(1)
            largest = logits.logsumexp(dim=1, keepdim=True)
            losses[part] = (largest - logits.gather(1, names)).squeeze(1)
            if backward is not None:
                share = logits.sub_(largest).exp_()
                share.scatter_add_(1, names, torch.full_like(share[:, :1], -1.0))
                backward[part] = share.to(hidden.dtype) @ weight
        ctx.save_for_backward(backward)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        (backward,) = ctx.saved_tensors
        return backward * grads[0].to(backward.dtype).unsqueeze(1), None, None, None


class _OwnTail(torch.autograd.Function):
    """The same through the model's own way from hidden states to logits, chunk by chunk."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, model: PreTrainedModel, wanted: Tensor, rows: int) -> Tensor:
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        trains = ctx.needs_input_grad[0]
        backward = torch.empty_like(hidden) if trains else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            with torch.set_grad_enabled(trains):
                states = hidden[part].detach().requires_grad_(trains)
                each = cross_entropy(logits_of(model, states).float(), wanted[part], reduction="none")
                losses[part] = each.detach()
                if backward is not None:
                    (backward[part],) = torch.autograd.grad(each.sum(), states)
        ctx.save_for_backward(backward)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        (backward,) = ctx.saved_tensors
        return backward * grads[0].to(backward.dtype).unsqueeze(1), None, None, None


def token_losses(model: PreTrainedModel, hidden: Tensor, wanted: Tensor) -> Tensor:
    """Return the loss in nats [M] of the tokens `wanted` [M] after the last hidden states [M, d].

    The head is never trained.
    """
    head: Any = model.get_output_embeddings()
    at_once = _CHUNK_BYTES_GPU if hidden.is_cuda else _CHUNK_BYTES
    rows = max(16, at_once // (4 * head.weight.shape[0]))
    losses: Tensor
    if is_bare_matrix(model):
        losses = _FrozenHead.apply(hidden, head.weight, wanted, rows)
    else:
        losses = _OwnTail.apply(hidden, model, wanted, rows)
    return losses
