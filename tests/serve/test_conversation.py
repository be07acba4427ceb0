"""Threads, blind draws and defaults: every variant hears itself only, and the order is nobody's choice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.questions import is_id, new_id
from engine.core.types import Example, Message
from engine.serve.conversation import (
    can_answer,
    choices,
    conversation,
    default_cast,
    drawn,
    next_question,
    open_question,
)
from engine.serve.folder import find_question, recent_questions, write_question
from tests.serve.made import answered, question, variant


def test_every_variant_goes_on_with_its_own_replies() -> None:
    asked = question("base", "unified")
    after = next_question(asked, answered(asked, "Dimmed.", "Which room?"), "The bedroom.")
    for speaker, said in zip(after.speakers, ("Dimmed.", "Which room?"), strict=True):
        assert speaker.history[:2] == asked.speakers[0].history
        assert speaker.history[2:] == (Message("user", "Yes."), Message("assistant", said))
    assert after.follows == asked.question_id
    assert after.meta == asked.meta
    assert after.reference is None


def test_a_variant_that_said_nothing_does_not_see_its_silence() -> None:
    asked = question("base", "unified")
    after = next_question(asked, answered(asked, "", "Done."), "And the TV?")
    assert after.speakers[0].history == asked.speakers[0].history
    assert len(after.speakers[1].history) == 4


def test_an_example_is_asked_in_its_place_of_the_dialogue() -> None:
    context = (
        Message("user", "Hello."),
        Message("assistant", "Good evening."),
        Message("user", "Lights on."),
    )
    example = Example("d/1#3", "ana", "d/1", 3, context, "The lights are on.")
    asked = open_question("ana", "Lights on.", [variant("base")], meta={}, example=example)
    assert asked.speakers[0].history == context[:-1]
    assert (asked.reference, asked.example_id) == ("The lights are on.", "d/1#3")
    assert open_question("ana", "Hi.", [variant("base")], meta={}).reference is None


@pytest.mark.parametrize(
    ("message", "names", "blind", "why"),
    [
        (" ", "a", False, "no message"),
        ("Hi.", "", False, "0 variants"),
        ("Hi.", "abcde", False, "5 variants"),
        ("Hi.", "a", True, "two variants"),
    ],
)
def test_what_cannot_be_asked_says_why(message: str, names: str, blind: bool, why: str) -> None:
    with pytest.raises(EngineError, match=why):
        open_question("ana", message, [variant(name) for name in names], meta={}, blind=blind)


def test_a_blind_draw_is_decided_by_the_seed_alone_and_is_fair() -> None:
    pool = [variant(name) for name in "abc"]
    assert drawn(pool, "s1") == drawn(pool[::-1], "s1")
    pairs = Counter(tuple(one.variant for one in drawn(pool, new_id())) for _ in range(1200))
    assert len(pairs) == 6  # every pair in both orders
    assert min(pairs.values()) > 120  # expected: 200 each; p < 1e-9 for less
    asked = open_question("ana", "Hi.", pool, meta={}, blind=True)
    assert [one.variant for one in asked.speakers] == [one.variant for one in drawn(pool, asked.question_id)]


def test_a_conversation_is_found_from_its_last_question(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    first = question("base")
    second = next_question(first, answered(first, "Done."), "Thanks.")
    for one in (first, second):
        write_question(ws, one)
    assert [one.question_id for one in conversation(ws, second.question_id)] == [
        first.question_id,
        second.question_id,
    ]
    assert {one.question_id for one in recent_questions(ws)} == {first.question_id, second.question_id}
    orphan = replace(second, question_id=new_id(), follows=new_id())
    write_question(ws, orphan)
    assert conversation(ws, orphan.question_id) == [orphan]
    itself = new_id()
    write_question(ws, replace(second, question_id=itself, follows=itself))
    assert len(conversation(ws, itself)) == 1


def test_a_question_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    asked = question("base", "unified", blind=True, example_id="d#1", reference="Yes.")
    write_question(Workspace(tmp_path), asked)
    assert find_question(Workspace(tmp_path), asked.question_id) == asked


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "xyz", "0123456789ag", None])
def test_an_id_from_an_address_is_no_path(tmp_path: Path, name: str | None) -> None:
    assert not is_id(name)
    with pytest.raises(EngineError, match="no question"):
        find_question(Workspace(tmp_path), str(name))


def test_the_first_two_are_unified_and_the_best_on_val() -> None:
    pool = [variant(name) for name in ("base", "unified", "hybrid")] + [variant("ceiling", {"oracle": "x"})]
    assert default_cast(pool, ["ceiling", "hybrid", "unified", "base"]) == ["unified", "hybrid"]
    assert default_cast(pool[:1], []) == ["base"]
    assert default_cast([pool[0], pool[2]], []) == ["base", "hybrid"]
    assert not can_answer(pool[3])
    assert can_answer(variant("routed", {"route": "run-9"}))


def test_circumstances_are_offered_as_the_data_knows_them() -> None:
    metas = [{"weather": "rainy", "degrees": 21, "note": str(n)} for n in range(30)] + [{"degrees": 9}]
    assert choices(metas) == {"weather": ["rainy"], "degrees": [9, 21], "note": []}
