"""A reply woven into the right one: each side's words are all there, in their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.show.persona.replies import Stretch, word_by_word

texts = st.lists(st.sampled_from(["set", "the", "lights", "to", "40", "60"])).map(" ".join)


def test_a_changed_word_stands_on_both_sides() -> None:
    assert word_by_word("Set it to 60 now", "Set it to 40 now") == (
        Stretch("Set it to", "both"),
        Stretch("40", "lacking"),
        Stretch("60", "added"),
        Stretch("now", "both"),
    )


@given(texts, texts)
def test_no_word_of_either_is_lost(reply: str, right: str) -> None:
    woven = word_by_word(reply, right)
    assert " ".join(one.text for one in woven if one.side != "lacking") == reply
    assert " ".join(one.text for one in woven if one.side != "added") == right
