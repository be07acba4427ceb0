"""What a model's layers hold while it says a reply: the mean over the positions that its tokens come from.

Steering vectors are differences of such means. Owns the reading of hidden states; changes nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.lm.activations import layer_of
from engine.lm.batches import micro_batches
from engine.lm.encode import IGNORED, Encoded, training_batch

_TOKENS = 4096


@torch.inference_mode()
def reply_states(
    model: PreTrainedModel,
    rows: Sequence[Encoded],
    layers: Sequence[int],
    *,
    pad_id: int,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[int, Tensor]:
    """Return layer -> [N, d] in fp32: of each row the mean output of that decoder layer, from 0.

    The mean is over the positions that a reply's tokens are predicted from; a row needs one. Rows do not
    depend on each other. `progress` gets the number of rows read, and may raise to end it. Raises EngineError
    for a layer that the model has not got.
    """
    seen: dict[int, Tensor] = {}

    def keep(number: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            seen[number] = output[0] if isinstance(output, tuple) else output

        return hook

    width = int(model.config.get_text_config().hidden_size)
    means = {number: torch.zeros(len(rows), width) for number in layers}
    there = {number: layer_of(model, number) for number in layers}
    decoder: Any = model.get_decoder()
    done = 0
    with ExitStack() as hooks:
        for number, layer in there.items():
            hooks.enter_context(layer.register_forward_hook(keep(number)))
        for part in micro_batches([len(row) for row in rows], _TOKENS):
            batch = training_batch([rows[place] for place in part], pad_id=pad_id)
            decoder(input_ids=batch.ids.to(model.device), use_cache=False)
            said = (batch.targets != IGNORED).to(model.device).unsqueeze(-1)
            for number in layers:
                total = (seen[number].float() * said).sum(dim=1) / said.sum(dim=1)
                means[number][torch.tensor(part)] = total.cpu()
            done += len(part)
            progress(done)
    return means


def behind(prompt: Sequence[int], reply: Sequence[int], *, room: int) -> Encoded:
    """Return a reply behind its prompt as one row of at most `room` tokens, the reply's tokens marked."""
    said = list(reply)[: max(0, room - len(prompt))]
    return Encoded((*prompt, *said), (False,) * len(prompt) + (True,) * len(said))
