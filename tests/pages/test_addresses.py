"""Whose an address is: every kind that may come back from the browser."""

from __future__ import annotations

import pytest

from pages.shared import addresses
from pages.shared.addresses import Written


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that is read, to be moved by hand."""
    now = [100.0]
    monkeypatch.setattr(addresses.time, "monotonic", lambda: now[0])
    return now


def test_what_was_written_is_own_and_what_is_new_is_not(clock: list[float]) -> None:
    written = Written("one", "one").then("two", "two")
    assert written.is_own("two", "two")
    assert not written.is_own("three", "two")
    assert not written.is_own(None, "two")


def test_an_address_of_a_moment_ago_is_late_and_later_it_is_going_back(clock: list[float]) -> None:
    written = Written("one", "one").then("two", "two")
    clock[0] += 1.0
    assert written.is_own("one", "two")
    clock[0] += 5.0
    assert not written.is_own("one", "two")


def test_with_a_change_an_address_once_left_is_late_however_long_it_took(clock: list[float]) -> None:
    written = Written("one", "one").then("two", "two")
    clock[0] += 60.0
    assert written.is_own("one", "three")


def test_after_the_same_address_it_is_known_what_is_held_now(clock: list[float]) -> None:
    written = Written("one", "one").then("two", "two").then("two", "another")
    clock[0] += 60.0
    assert not written.is_own("one", "another")
    assert written.is_own("one", "two")
