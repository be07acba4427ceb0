"""The loss of replies under a frozen head: cross-entropy where there are labels, chunk by chunk."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

_CHUNK_BYTES = 64 * 1024 * 1024


class _FrozenHead(torch.autograd.Function):
    """Cross-entropy of hidden @ weight.T without ever holding all logits; their gradient is made at once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, wanted: Tensor, rows: int) -> Tensor:
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        backward = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits = (hidden[part] @ weight.T).float()
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


def token_losses(model: PreTrainedModel, hidden: Tensor, wanted: Tensor) -> Tensor:
    """Return the loss in nats [M] of the tokens `wanted` [M] after the last hidden states [M, d].

    The head is never trained. A head that is more than one matrix goes through its own forward pass.
    """
    head: Any = model.get_output_embeddings()
    plain = isinstance(head, nn.Linear) and getattr(head, "bias", None) is None
    if not plain or _reshapes_logits(model):
        return cross_entropy(head(hidden).float(), wanted, reduction="none")
    rows = max(16, _CHUNK_BYTES // (4 * head.weight.shape[0]))
    losses: Tensor = _FrozenHead.apply(hidden, head.weight, wanted, rows)
    return losses


def _reshapes_logits(model: PreTrainedModel) -> bool:
    names = ("final_logit_softcapping", "logits_scaling", "logit_scale")
    return any(getattr(model.config, name, None) not in (None, 1, 1.0) for name in names)
