"""The means of hidden states beside transformers' own, row by row and all together."""

from __future__ import annotations

import pytest
import torch

from engine.core.errors import EngineError
from engine.lm.encode import Encoded
from engine.lm.load import Base
from engine.lm.reply_states import behind, reply_states


@torch.no_grad()
def test_they_are_the_means_of_transformers_own_states(base: Base, encoded: list[Encoded]) -> None:
    found = reply_states(base.model, encoded[:6], [0], pad_id=base.pad_id)
    assert found[0].shape == (6, base.model.config.hidden_size)
    for row, mean in zip(encoded[:6], found[0], strict=True):
        states = base.model(torch.tensor([row.ids]), output_hidden_states=True).hidden_states[1][0]
        before = [place - 1 for place, mark in enumerate(row.is_reply) if mark]
        torch.testing.assert_close(mean, states[before].mean(dim=0), atol=1e-5, rtol=1e-4)


def test_a_row_among_many_gives_what_it_gives_alone(base: Base, encoded: list[Encoded]) -> None:
    together = reply_states(base.model, encoded, [0, 1], pad_id=base.pad_id)
    for place in (0, 7, 39):
        alone = reply_states(base.model, [encoded[place]], [0, 1], pad_id=base.pad_id)
        for layer in (0, 1):
            torch.testing.assert_close(alone[layer][0], together[layer][place], atol=1e-5, rtol=1e-4)


def test_who_asks_hears_how_far_it_is_and_can_end_it(base: Base, encoded: list[Encoded]) -> None:
    heard: list[int] = []
    reply_states(base.model, encoded, [0], pad_id=base.pad_id, progress=heard.append)
    assert heard[-1] == len(encoded)
    assert heard == sorted(set(heard))

    def stop(done: int) -> None:
        raise InterruptedError(done)

    before = [len(module._forward_hooks) for module in base.model.modules()]
    with pytest.raises(InterruptedError):
        reply_states(base.model, encoded, [0], pad_id=base.pad_id, progress=stop)
    assert [len(module._forward_hooks) for module in base.model.modules()] == before


def test_nothing_stays_on_the_model_and_a_layer_it_has_not_got_is_refused(
    base: Base, encoded: list[Encoded]
) -> None:
    def hooks() -> list[int]:
        return [len(module._forward_hooks) for module in base.model.modules()]

    before = hooks()
    with pytest.raises(EngineError, match="no layer 9"):
        reply_states(base.model, encoded[:1], [0, 9], pad_id=base.pad_id)
    reply_states(base.model, encoded[:1], [0], pad_id=base.pad_id)
    assert hooks() == before


def test_a_reply_behind_its_prompt_is_cut_to_the_room() -> None:
    assert behind([1, 2, 3], [4, 5], room=9) == Encoded((1, 2, 3, 4, 5), (False,) * 3 + (True,) * 2)
    assert behind([1, 2, 3], [4, 5], room=4).ids == (1, 2, 3, 4)
    assert not any(behind([1, 2, 3], [4, 5], room=3).is_reply)
