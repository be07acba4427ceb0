"""Asking many things at once: pace, order, limits, and nothing lost that was said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from engine.core.errors import EngineError
from engine.lm.remote.asking import Messages, Pace, ask_all, finished
from engine.lm.remote.endpoint import Said

WANTED = {f"e{number}": [{"role": "user", "content": str(number)}] for number in range(12)}


class Model:
    """Answers after a moment; counts how many requests were under way at a time."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.asked: list[str] = []
        self.now = self.most = 0

    async def __call__(self, messages: Messages) -> Said:
        self.asked.append(messages[0]["content"])
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.01)
            if messages[0]["content"] == self.fails_at:
                raise EngineError("It fails.")
            return Said(messages[0]["content"], 1, 1, 0.0)
        finally:
            self.now -= 1


def ask(
    model: Model,
    *,
    at_once: int = 3,
    may_ask: Callable[[str], bool] = lambda _: True,
    stop: Callable[[], bool] = lambda: False,
    kept: dict[str, Said] | None = None,
) -> dict[str, Said]:
    kept = {} if kept is None else kept
    finished(
        ask_all(
            model,
            WANTED,
            pace=Pace(1_000_000),
            at_once=at_once,
            may_ask=may_ask,
            on_reply=kept.__setitem__,
            stop=lambda: stop(),
        )
    )
    return kept


def test_everything_is_asked_once_and_each_reply_is_its_own() -> None:
    model = Model()
    kept = ask(model)
    assert {name: said.text for name, said in kept.items()} == {
        name: messages[0]["content"] for name, messages in WANTED.items()
    }
    assert sorted(model.asked) == sorted(kept[name].text for name in WANTED)
    assert model.most == 3


def test_the_first_goes_alone_so_a_wrong_key_costs_one_request() -> None:
    model = Model(fails_at="0")
    with pytest.raises(EngineError, match="It fails"):
        ask(model)
    assert model.asked == ["0"]


def test_what_is_under_way_at_an_error_is_kept() -> None:
    model, kept = Model(fails_at="5"), dict[str, Said]()
    with pytest.raises(EngineError, match="It fails"):
        ask(model, kept=kept)
    assert len(kept) == len(model.asked) - 1


def test_asked_to_stop_it_keeps_what_is_under_way_and_begins_nothing() -> None:
    model, kept = Model(), dict[str, Said]()
    ask(model, kept=kept, stop=lambda: len(kept) >= 4)
    assert 4 <= len(kept) < len(WANTED)
    assert len(kept) == len(model.asked)


def test_it_ends_where_no_more_is_allowed() -> None:
    model = Model()
    allowed = {"e0", "e1", "e2"}
    assert set(ask(model, may_ask=allowed.__contains__)) == allowed


def test_a_refusal_waits_for_what_is_under_way() -> None:
    """A reply that comes back may leave room in the budget again."""
    model, kept, granted = Model(), dict[str, Said](), list[str]()

    def room_for_two(name: str) -> bool:
        if len(granted) - len(kept) == 2:
            return False
        granted.append(name)
        return True

    ask(model, kept=kept, may_ask=room_for_two)
    assert set(kept) == set(WANTED)
    assert model.most == 2


def test_the_pace_spaces_starts_evenly() -> None:
    pace = Pace(0.1)
    pace.take()
    assert 0 < pace.wait_seconds <= 600
    pace.take()
    assert 600 < pace.wait_seconds <= 1200
