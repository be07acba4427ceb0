"""The numbers of a card, on texts short enough to count by hand."""

from __future__ import annotations

import pytest

from engine.core.types import Dataset, Dialogue, Message, Persona
from engine.data.statistics import dataset_statistics, meta_coverage, subject_shares, text_statistics
from engine.domains.chat import CHAT
from engine.domains.smart_home import SMART_HOME


def dialogue(number: int, *texts: str, **meta: str) -> Dialogue:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[place % 2], text) for place, text in enumerate(texts))  # type: ignore[arg-type]
    return Dialogue("p", f"p/{number:04d}", number, messages, dict(meta))


def test_counts_and_shares() -> None:
    found = text_statistics(
        [
            dialogue(0, "Lights on, please", "The lights are at 40."),
            dialogue(1, "I'm cold", "Shall I warm the room?", "Yes", "The AC goes to twenty degrees."),
        ]
    )
    assert (found["dialogues"], found["messages"], found["assistant_turns"]) == (2, 6, 3)
    assert found["words"] == 3 + 5 + 2 + 5 + 1 + 6
    assert found["turns"] == {"mean": 3.0, "p10": 2.2, "p50": 3.0, "p90": 3.8}
    assert found["reply_words"]["mean"] == pytest.approx(16 / 3, abs=1e-3)
    assert found["share_replies_with_number"] == pytest.approx(2 / 3)
    assert found["share_replies_with_question"] == pytest.approx(1 / 3)
    # "the" is said three times, "lights" twice, all else once
    assert found["vocabulary"] == found["words"] - 3
    assert found["vocabulary_used_once"] == found["vocabulary"] - 2


def test_what_replies_act_on_is_counted_by_the_domains_judge() -> None:
    rows = [
        dialogue(
            0, "Is it safe?", "The camera is on.", "And the light?", "The lights are off.", "Thanks", "Enjoy."
        )
    ]
    assert subject_shares(rows, SMART_HOME) == {"Camera": 1 / 3, "Lights": 1 / 3}
    assert subject_shares(rows, CHAT) == {}
    assert subject_shares([], SMART_HOME) == {}


def test_nothing_to_measure_is_none_and_never_zero() -> None:
    found = text_statistics([dialogue(0, "Hello")])
    assert found["reply_words"] is None
    assert text_statistics([])["turns"] is None


def test_meta_counts_what_holds_a_value() -> None:
    rows = [dialogue(0, "a", "b", weather="fog"), dialogue(1, "a", "b", weather="", sun_phase="dawn")]
    assert meta_coverage(rows) == {"sun_phase": 0.5, "weather": 0.5}
    found = dataset_statistics(Dataset((Persona("p", "Calm.", ()),), tuple(rows)))
    assert (found["personas_with_character"], found["personas_with_routines"]) == (1, 0)
    assert found["dialogues_with_meta"] == 2
    assert found["dialogues_per_persona"]["mean"] == 2
