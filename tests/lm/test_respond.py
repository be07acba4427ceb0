"""One reply to one message, as the command line and the playground ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.types import Message
from engine.data.dataset import examples, load_dataset, load_splits
from engine.lm.respond import respond
from tests.tiny_base import prepare_study


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return prepare_study(tmp_path_factory.mktemp("study"), tiny_base)


def first_persona(ws: Workspace) -> str:
    return load_dataset(ws).personas[0].persona_id


def test_a_reply_tells_what_it_took_and_what_it_does(ws: Workspace) -> None:
    told = respond(ws, persona_id=first_persona(ws), recipe={}, message="Dim the lights.", max_new_tokens=6)
    assert set(told) >= {
        "reply",
        "prompt_tokens",
        "reply_tokens",
        "seconds",
        "acts",
        "recipe",
        "retrieved",
    }
    assert told["reply_tokens"] <= 6
    assert told["retrieved"] == []
    assert told["recipe"] == {"effects": []}
    again = respond(ws, persona_id=first_persona(ws), recipe={}, message="Dim the lights.", max_new_tokens=6)
    assert again["reply"] == told["reply"]


def test_memories_are_the_personas_own_and_the_nearest_is_last(ws: Workspace) -> None:
    persona = first_persona(ws)
    own = [one for one in examples(load_dataset(ws), load_splits(ws), "train") if one.persona_id == persona]
    message = own[3].context[-1].text
    told = respond(ws, persona_id=persona, recipe={"memories": 2}, message=message, max_new_tokens=4)
    assert len(told["retrieved"]) == 2
    assert {memory["example_id"] for memory in told["retrieved"]} <= {one.example_id for one in own}
    assert told["retrieved"][-1]["similarity"] == pytest.approx(1.0, abs=1e-3)
    bare = respond(ws, persona_id=persona, recipe={}, message=message, max_new_tokens=4)
    assert told["prompt_tokens"] > bare["prompt_tokens"]


def test_a_profile_and_a_history_make_the_prompt_longer(ws: Workspace) -> None:
    def tokens(**more: object) -> int:
        options = {"recipe": {}, "message": "Yes.", "max_new_tokens": 2, **more}
        return int(respond(ws, persona_id=first_persona(ws), **options)["prompt_tokens"])  # type: ignore[arg-type]

    bare = tokens()
    assert tokens(recipe={"profile": True}) > bare
    assert tokens(meta={"time_of_day": "evening"}) > bare
    assert (
        tokens(history=[Message("user", "It is dark."), Message("assistant", "Shall I dim the lights?")])
        > bare
    )


@pytest.mark.parametrize("message", ["", "  \n"])
def test_nothing_said_is_nothing_to_answer(ws: Workspace, message: str) -> None:
    with pytest.raises(EngineError, match="no message"):
        respond(ws, persona_id=first_persona(ws), recipe={}, message=message)


def test_an_unknown_persona_is_answered_with_a_known_one(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="no persona named") as caught:
        respond(ws, persona_id=first_persona(ws) + "x", recipe={}, message="Hello.")
    assert first_persona(ws) in caught.value.hint


def test_a_ceiling_cannot_answer(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="cannot answer"):
        respond(ws, persona_id=first_persona(ws), recipe={"oracle": "knows_persona"}, message="Hello.")
