"""The loss of replies under a frozen head: cross-entropy where there are labels, chunk by chunk.

It is the model's own loss: what a model does to its logits after the head belongs to it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from engine.lm.fused import kernels_on
from engine.lm.tail import is_bare_matrix, logits_of

_CHUNK_BYTES, _CHUNK_BYTES_GPU = 64 * 1024 * 1024, 1 << 30


OfChunk = Callable[[Tensor, Tensor, Tensor, Tensor | None], None]
"""From states [m, d] and what is wanted [m] to losses [m] and, where asked, gradients [m, d], in place."""


class _InChunks(torch.autograd.Function):
    """Cross-entropy without ever holding all logits; the gradient of the hidden states is made at once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, wanted: Tensor, rows: int, of_chunk: OfChunk) -> Tensor:
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        backward = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            of_chunk(hidden[part], wanted[part], losses[part], None if backward is None else backward[part])
        ctx.save_for_backward(backward)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        (backward,) = ctx.saved_tensors
        return backward * grads[0].to(backward.dtype).unsqueeze(1), None, None, None


def _of_matrix(weight: Tensor) -> OfChunk:
    """Losses under hidden @ weight.T."""
    kernels = kernels_on(weight.device)

    def of_chunk(hidden: Tensor, wanted: Tensor, losses: Tensor, backward: Tensor | None) -> None:
        logits = hidden @ weight.T
        if kernels is not None:
            kernels.losses_of(logits, wanted, losses, back=backward is not None)
            if backward is not None:
                torch.mm(logits, weight, out=backward)
            return
        logits = logits.float()
        names = wanted.unsqueeze(1)
        largest = logits.logsumexp(dim=1, keepdim=True)
        losses.copy_((largest - logits.gather(1, names)).squeeze(1))
        if backward is not None:
            share = logits.sub_(largest).exp_()
            share.scatter_add_(1, names, torch.full_like(share[:, :1], -1.0))
            backward.copy_(share.to(hidden.dtype) @ weight)

    return of_chunk


def _of_tail(model: PreTrainedModel) -> OfChunk:
    """Losses by the model's own way from hidden states to logits."""

    def of_chunk(hidden: Tensor, wanted: Tensor, losses: Tensor, backward: Tensor | None) -> None:
        trains = backward is not None
        with torch.set_grad_enabled(trains):
            states = hidden.detach().requires_grad_(trains)
            each = cross_entropy(logits_of(model, states).float(), wanted, reduction="none")
            losses.copy_(each.detach())
            if backward is not None:
                backward.copy_(torch.autograd.grad(each.sum(), states)[0])

    return of_chunk


def token_losses(model: PreTrainedModel, hidden: Tensor, wanted: Tensor) -> Tensor:
    """Return the loss in nats [M] of the tokens `wanted` [M] after the last hidden states [M, d].

    The head is never trained.
    """
    head: Any = model.get_output_embeddings()
    at_once = _CHUNK_BYTES_GPU if hidden.is_cuda else _CHUNK_BYTES
    rows = max(16, at_once // (4 * head.weight.shape[0]))
    of_chunk = _of_matrix(head.weight) if is_bare_matrix(model) else _of_tail(model)
    return _InChunks.apply(hidden, wanted, rows, of_chunk)
