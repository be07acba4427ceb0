"""Dialogues that stand in two places, found as by comparing every pair."""

from __future__ import annotations

import random

import pytest

from engine.core.types import Dataset, Dialogue, Message, Persona, Splits
from engine.data.checks import check_splits, explained, repeats
from engine.data.likeness import _shingles, repeated

WORDS = ["lamp", "sofa", "rain", "tea", "heat", "cold", "quiet", "song", "red", "blue", "door", "key", "cup"]


def dialogue(name: str, text: str, *, persona: str = "p", order: int = 0) -> Dialogue:
    return Dialogue(persona, name, order, (Message("user", text), Message("assistant", f"Yes: {text}")))


def test_pairs_are_those_of_every_comparison() -> None:
    draw = random.Random(4)
    rows = [dialogue(f"a{number}", " ".join(draw.choices(WORDS, k=30))) for number in range(60)]
    near = []
    for number, row in enumerate(rows[:20]):
        words = row.messages[0].text.split()
        words[draw.randrange(30)] = "changed" if number % 2 else words[0]
        near.append(dialogue(f"b{number}", " ".join(words)))
    asked = [*near, *(dialogue(f"c{number}", " ".join(draw.choices(WORDS, k=30))) for number in range(20))]
    by_hand = {}
    for one in asked:
        for other in rows:
            ours, theirs = _shingles(one), _shingles(other)
            likeness = len(ours & theirs) / len(ours | theirs)
            if likeness >= 0.8 and likeness > by_hand.get(one.dialogue_id, ("", 0.0))[1]:
                by_hand[one.dialogue_id] = (other.dialogue_id, likeness)
    found = {pair.dialogue_id: (pair.repeats, pair.likeness) for pair in repeated(asked, rows)}
    assert found == by_hand
    assert len(found) == 20


@pytest.mark.parametrize(
    "text", ["เปิดไฟในห้องนั่งเล่นแล้วปิดในห้องนอนด้วยนะ", "请把客厅的灯打开然后把卧室的灯关掉谢谢你们大家"]
)
def test_scripts_without_spaces_are_read_letter_by_letter(text: str) -> None:
    almost = dialogue("b", text * 3 + text[:-1])
    assert [pair.repeats for pair in repeated([almost], [dialogue("a", text * 4)])] == ["a"]


def test_a_split_with_repeats_fails_and_says_which() -> None:
    long = " ".join(f"{word}{number}" for word in WORDS for number in range(3))
    rows = (
        dialogue("p/0", f"{long} first and so on", order=0),
        dialogue("p/1", "only here, nowhere else at all", order=1),
        dialogue("p/2", f"{long} second and so on", order=2),
        dialogue("q/0", "of another persona, word for word the same", persona="q", order=0),
        dialogue("q/1", "what q says alone", persona="q", order=1),
        dialogue("p/3", "of another persona, word for word the same", order=3),
        dialogue("u/0", "what is remembered of her, and asked again", persona="u", order=0),
        dialogue("u/1", "what is remembered of her, and asked again", persona="u", order=1),
    )
    places = {
        "p/0": "train",
        "p/1": "val",
        "p/2": "test",
        "p/3": "test",
        "q/0": "train",
        "q/1": "test",
        "u/0": "history",
        "u/1": "unseen",
    }
    dataset = Dataset(tuple(Persona(name) for name in "pqu"), rows)
    splits = Splits("by-time", places, frozenset(), frozenset({"u"}))  # type: ignore[arg-type]
    assert {(pair.dialogue_id, pair.repeats, pair.likeness == 1) for pair in repeats(dataset, splits)} == {
        ("p/2", "p/0", False),
        ("p/3", "q/0", True),
        ("u/1", "u/0", True),
    }
    (check,) = [one for one in check_splits(dataset, splits) if one["name"] == "no repeats"]
    assert not check["ok"]
    assert "p/3 (q/0)" in check["detail"]
    assert "1 test dialogues are nearly so: p/2 (p/0)" in check["detail"]


def test_a_list_that_goes_on_keeps_its_dots() -> None:
    assert explained({"name": "odd", "detail": "6 repeat: a, b, ..."}) == "odd: 6 repeat: a, b, ..."
