"""What of a reply is right, another value, missing or extra; and replies grouped by their text."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from engine.core.types import Dialogue, Message
from engine.domains.acts import Finding, findings, pieces
from engine.domains.smart_home import SMART_HOME
from engine.show.persona.replies import answered

RIGHT = "Setting the lights to brightness at 40, color warm, and mode static."


def found(reply: str, reference: str = RIGHT) -> list[tuple[str, str]]:
    return [(one.kind, one.words) for one in findings(SMART_HOME.acts(reply), SMART_HOME.acts(reference))]


def test_the_right_reply_is_right_throughout() -> None:
    assert {kind for kind, _ in found(RIGHT)} == {"right"}


def test_another_value_names_both() -> None:
    assert ("other", "Lights brightness 60, not 40") in found(RIGHT.replace("40", "60"))


def test_what_is_not_said_is_missing_and_what_is_too_much_is_extra() -> None:
    told = found("Setting the lights to brightness at 40 and the speaker to volume 30.")
    assert ("missing", "Lights color warm") in told
    assert ("extra", "Speaker volume 30") in told
    assert [kind for kind, _ in told] == sorted(
        (kind for kind, _ in told), key=["right", "other", "missing", "extra"].index
    )


def test_a_device_that_is_only_named_counts_by_its_name() -> None:
    assert found("What would you like for the TV?", "What would you like for the lights?") == [
        ("missing", "Lights named"),
        ("extra", "TV named"),
    ]


def test_nothing_done_is_nothing_found() -> None:
    assert findings(SMART_HOME.acts("You're welcome."), SMART_HOME.acts("Enjoy.")) == ()
    assert found("You're welcome.") == [(one.kind, one.words) for one in _all_missing()]


def test_without_a_right_reply_everything_done_is_plain() -> None:
    told = findings(SMART_HOME.acts("Setting the AC to 22 degrees. Shall I dim the lights?"), None)
    assert [(one.kind, one.words) for one in told] == [
        ("plain", "AC temperature 22"),
        ("plain", "Lights named"),
    ]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("The security system is disarmed.", "Security disarmed"),
        ("The TV is on.", "TV on"),
        ("Setting the TV to input source Disney+.", "TV input source disney+"),
        ("The AC is set to 21.5 degrees.", "AC temperature 21.5"),
    ],
)
def test_acts_read_as_words(reply: str, words: str) -> None:
    assert [act.words for act in SMART_HOME.acts(reply)] == [words]


def _all_missing() -> list[Finding]:
    return [
        Finding("missing", "Lights brightness 40"),
        Finding("missing", "Lights color warm"),
        Finding("missing", "Lights mode static"),
    ]


@pytest.mark.parametrize(
    ("reply", "marks"),
    [
        (RIGHT, {"40": "right", "warm": "right", "static": "right"}),
        (RIGHT.replace("40", "60"), {"60": "other", "warm": "right", "static": "right"}),
        ("You're welcome.", {}),
    ],
)
def test_values_are_marked_in_the_text_and_the_text_stays(reply: str, marks: dict[str, str]) -> None:
    cut = pieces(reply, SMART_HOME.acts(reply), SMART_HOME.acts(RIGHT))
    assert "".join(piece.text for piece in cut) == reply
    assert {piece.text: piece.kind for piece in cut if piece.kind} == marks


def test_a_number_is_not_marked_inside_another() -> None:
    reply = "Setting the TV to volume 4 and brightness 40."
    cut = pieces(
        reply, SMART_HOME.acts(reply), SMART_HOME.acts("Setting the TV to volume 4 and brightness 45.")
    )
    assert [(piece.text, piece.kind) for piece in cut if piece.kind] == [("4", "right"), ("40", "other")]


def test_a_value_that_stands_for_two_things_is_not_marked() -> None:
    reply = "Setting the TV to volume 40 and brightness 40."
    cut = pieces(
        reply, SMART_HOME.acts(reply), SMART_HOME.acts("Setting the TV to volume 40 and brightness 45.")
    )
    assert [piece.kind for piece in cut] == [""]


def test_equal_replies_stand_together_and_memories_name_who_saw_them() -> None:
    memory = {"request": "Warm it up", "reply": "Done", "example_id": "p/0#1", "similarity": 0.8}
    near = {**memory, "example_id": "p/1#1", "similarity": 0.9}
    rows = pd.DataFrame(
        [
            _row("unified", "Yes.", 0.5, None),
            _row("one", "No.", 0.7, [memory]),
            _row("two", "No.", 0.7, [memory, near]),
            _row("three", "Hm.", None, None),
        ]
    )
    said = (Message("user", "Lights"), Message("assistant", "Which?"), Message("user", "All"))
    (example,) = answered(
        rows, [Dialogue("p", "p/5", 5, (*said, Message("assistant", "Yes.")), {})], SMART_HOME,
        metric="embedding_similarity", reference="unified",
    )  # fmt: skip
    assert [reply.variants for reply in example.replies] == [("one", "two"), ("unified",), ("three",)]
    assert [reply.delta for reply in example.replies] == [pytest.approx(0.2), 0.0, None]
    assert example.context == (("user", "Lights"), ("assistant", "Which?"), ("user", "All"))
    assert [(one.example_id, one.variants) for one in example.memories] == [
        ("p/1#1", ("two",)),
        ("p/0#1", ("one", "two")),
    ]


def test_published_scores_without_replies_have_no_examples() -> None:
    rows = pd.DataFrame(columns=["variant", "example_id", "dialogue_id", "turn", "reply", "reference"])
    assert answered(rows, [], SMART_HOME, metric="embedding_similarity", reference="unified") == []


def _row(
    variant: str, reply: str, score: float | None, memories: list[dict[str, object]] | None
) -> dict[str, object]:
    return {
        "variant": variant,
        "persona_id": "p",
        "example_id": "p/5#3",
        "dialogue_id": "p/5",
        "turn": 3,
        "reply": reply,
        "reference": "Yes.",
        "embedding_similarity": score,
        "reply_tokens": 4,
        "retrieved": None if memories is None else json.dumps(memories),
    }
