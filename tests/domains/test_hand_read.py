"""Replies read by hand (hand_read.txt): the grammar reads each as a fair reader does."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.domains.smart_home.actions import extract
from tests.domains.test_actions import actions_of

LINES = [
    tuple(line.split(" => "))
    for line in (Path(__file__).parent / "hand_read.txt").read_text(encoding="utf-8").splitlines()
    if " => " in line and not line.startswith("#")
]


@pytest.mark.parametrize(("reply", "done"), LINES, ids=[reply for reply, _ in LINES])
def test_a_reply_is_read_as_by_hand(reply: str, done: str) -> None:
    assert extract(reply) == actions_of("" if done == "nothing" else done)


def test_there_are_over_two_hundred_and_none_twice() -> None:
    assert len({reply for reply, _ in LINES}) == len(LINES) > 200
