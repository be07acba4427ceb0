"""From last hidden states to logits, as the model itself does it.

Some models change their logits after the head: scale them, cap them, add to them. Which do is not a list of
names but measured, once a model: its own forward pass over given hidden states beside its bare head. Where
both agree the head alone serves, which is faster; elsewhere the model's own pass is used, here and wherever
logits are read or a loss is taken. Knows no architecture.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

_MEASURED = "_logits_after_head"
_PROBED_ROWS, _PROBED_LOGITS = 4, (10.0, 1000.0)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
_ROUGH_TOLERANCE = 1e-2


class _Given(BaseModelOutputWithPastAndCrossAttentions):
    """What a decoder would have returned; whatever a model asks for besides the hidden states is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Return the model's own logits [M, V] after its last hidden states [M, d].

    A contiguous matrix is quick; on a slice of [B, T, d] torch would copy the head for every row.
    """
    if changes_logits(model):
        return _through_model(model, hidden)
    head: Any = model.get_output_embeddings()
    return head(hidden)


def is_bare_matrix(model: PreTrainedModel) -> bool:
    """Say whether the logits are the hidden states times one matrix, and nothing else."""
    head = model.get_output_embeddings()
    plain = isinstance(head, nn.Linear) and getattr(head, "bias", None) is None
    return plain and not changes_logits(model)


def changes_logits(model: PreTrainedModel) -> bool:
    """Say whether the model changes its logits after the head: measured the first time, then known."""
    known = model.__dict__.get(_MEASURED)
    if known is None:
        known = _differs(model)
        model.__dict__[_MEASURED] = known
    return bool(known)


@torch.no_grad()
def tail_error(model: PreTrainedModel, ids: Tensor) -> float:
    """Return how far logits by `logits_of` are from the model's own for `ids` [1, T], as a share of theirs.

    For the probe of a base: more than rounding means that the model looks at more than its last hidden states
    to make its logits, so that no loss of ours would be its own.
    """
    decoder: Any = model.get_decoder()
    own = model(input_ids=ids, use_cache=False).logits[0].float()
    ours = logits_of(model, decoder(input_ids=ids, use_cache=False).last_hidden_state[0]).float()
    return float((own - ours).abs().max() / own.abs().max().clamp(min=1e-12))


@torch.no_grad()
def _differs(model: PreTrainedModel) -> bool:
    head: Any = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    if not isinstance(weight, Tensor):
        return True
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(_PROBED_ROWS, weight.shape[1], generator=random).to(weight.device, weight.dtype)
    tolerance = TOLERANCE.get(weight.dtype, _ROUGH_TOLERANCE)
    for size in _PROBED_LOGITS:
        probed = hidden * (size / head(hidden).abs().max().clamp(min=1e-6))
        bare, own = head(probed).float(), _through_model(model, probed).float()
        if not torch.allclose(bare, own, rtol=0.0, atol=tolerance * size):
            return True
    return False


def _through_model(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Return what the model's forward pass makes of hidden states; its layers do not run."""
    ids = torch.zeros(1, len(hidden), dtype=torch.long, device=hidden.device)
    with _decoding(model, lambda *_, **__: _Given(last_hidden_state=hidden.unsqueeze(0))):
        logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits[0]


@contextmanager
def _decoding(model: PreTrainedModel, forward: Callable[..., Any]) -> Iterator[None]:
    """Put another forward pass in the place of the decoder's; nobody else may use the model meanwhile."""
    decoder: Any = model.get_decoder()
    before = decoder.__dict__.get("forward")
    decoder.forward = forward
    try:
        yield
    finally:
        del decoder.forward
        if before is not None:
            decoder.forward = before
