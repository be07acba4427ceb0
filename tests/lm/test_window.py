"""What goes when a text is longer than the model's window: the oldest turns, never the query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig

from bench.architectures import write_tiny
from engine.core import cuts
from engine.core.errors import EngineError
from engine.core.types import Message
from engine.lm.load import Base, load_base
from engine.lm.window import newest, prompt_room, window_of


class Model:
    """As much of a model as its window needs."""

    def __init__(self, name: str, **settings: Any) -> None:
        self.config = AutoConfig.for_model(name, **settings)


@pytest.mark.parametrize(
    ("name", "settings", "window"),
    [
        ("gpt2", {"n_positions": 128}, 128),
        ("llama", {"max_position_embeddings": 200}, 200),
        ("mpt", {"max_seq_len": 96}, 96),
        ("bloom", {}, 4096),
        ("gemma3", {"text_config": {"max_position_embeddings": 300}}, 300),
    ],
)
def test_the_window_is_what_the_architecture_calls_it(
    name: str, settings: dict[str, Any], window: int
) -> None:
    assert window_of(Model(name, **settings)) == window  # type: ignore[arg-type]


def test_the_reply_has_its_room_in_the_window(base: Base) -> None:
    assert prompt_room(base.model, 64) == 1024 - 64
    with pytest.raises(EngineError, match="leaves no room") as caught:
        prompt_room(base.model, 1024)
    assert "max_new_tokens" in caught.value.hint


TURNS = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(1, 9)), max_size=9)


@given(TURNS, st.integers(0, 40))
def test_as_few_of_the_oldest_turns_go_as_it_takes(turns: list[tuple[Any, int]], room: int) -> None:
    messages = [Message(role, "x" * size) for role, size in [*turns, ("user", 3)]]

    def size(said: Any) -> int:
        return 2 + sum(len(one.text) for one in said)

    kept = newest(messages, size, room)
    if kept is None:
        assert size(messages[-1:]) > room or len(messages) == 1
        return
    assert size(kept) <= room
    assert list(kept) == messages[len(messages) - len(kept) :]
    if len(kept) < len(messages):
        assert kept[0].role == "user"
        longer = [place for place in range(1, len(messages) - len(kept)) if messages[place].role == "user"]
        assert all(size(messages[place:]) > room for place in [0, *longer])


def test_a_base_with_few_positions_answers_to_its_last_one(base: Base, tmp_path: Path) -> None:
    """GPT-2 has an embedding for each position: one token more would be an IndexError."""
    from engine.lm.generate import generate

    small = load_base(str(write_tiny("gpt2", tmp_path, base.tokenizer, n_positions=32)))
    prompt = list(range(10, 10 + prompt_room(small.model, 12)))
    (reply,) = generate(small.model, small.tokenizer, [prompt], max_new_tokens=12)
    assert reply.prompt_tokens == 20


def test_what_was_cut_is_worded() -> None:
    assert cuts.told({"prompts_cut": 3, "examples_left_out": 1, "weight": 0.5}) == (
        "3 prompts without the oldest turns, 1 example left out"
    )
    assert cuts.told({"prompts_cut": 0}) == ""
