"""The one estimator of a run under way: each stage at its own rate, and nothing told that nobody can know."""

from __future__ import annotations

import pytest

from engine.runs.pace import Left, Pace

STAGES = {"load": 2.0, "train": 70.0, "generate": 25.0, "score": 3.0}
EXPECTED = {"load": 10.0, "train": 100.0, "generate": 40.0, "score": 50.0}


def test_a_first_run_tells_no_time_before_it_has_a_rate() -> None:
    pace = Pace(STAGES, {})
    pace.tell("load", 0.0, 0.0)
    assert pace.left(9.0) == Left(None)
    pace.tell("train", 0.0, 10.0)
    pace.tell("train", 0.01, 11.0)
    assert pace.left(11.0) == Left(None)  # a hundredth in a second is no rate yet
    pace.tell("train", 0.1, 20.0)
    found = pace.left(20.0)
    assert found.is_rough  # of what comes after nothing is known but its share
    assert found.seconds is not None
    assert found.seconds > 90.0


def test_scoring_has_its_own_rate_and_never_stands_at_one_second() -> None:
    pace = Pace(STAGES, {})
    pace.tell("load", 0.0, 0.0)
    pace.tell("train", 0.0, 1.0)
    pace.tell("train", 1.0, 31.0)
    pace.tell("generate", 0.0, 31.0)
    pace.tell("generate", 1.0, 41.0)
    pace.tell("score", 0.0, 41.0)
    assert pace.left(45.0) == Left(None)
    pace.tell("score", 0.25, 53.0)
    assert pace.left(53.0) == Left(pytest.approx(36.0))


def test_what_stages_took_before_is_told_from_the_start_and_counts_down() -> None:
    pace = Pace(STAGES, EXPECTED)
    pace.tell("load", 0.0, 0.0)
    assert pace.left(0.0) == Left(pytest.approx(200.0))
    assert pace.left(4.0) == Left(pytest.approx(196.0))
    assert pace.left(11.0) == Left(None)  # longer than ever before
    pace.tell("score", 0.0, 160.0)
    assert pace.progress() == pytest.approx(0.75)
    assert pace.left(162.0) == Left(pytest.approx(48.0))


def test_a_stage_that_says_nothing_more_takes_longer_not_less() -> None:
    pace = Pace(STAGES, EXPECTED)
    pace.tell("train", 0.0, 0.0)
    pace.tell("train", 0.5, 10.0)
    now, later = pace.left(10.0).seconds, pace.left(20.0).seconds
    assert now is not None
    assert later is not None
    assert later > now


def test_a_resumed_stage_counts_from_where_it_was() -> None:
    pace = Pace({"train": 1.0}, {})
    pace.tell("train", 0.5, 0.0)
    pace.tell("train", 0.75, 10.0)
    assert pace.left(10.0) == Left(pytest.approx(10.0))
    assert pace.progress() == 0.75


def test_work_that_nobody_declared_tells_no_share_and_no_time() -> None:
    pace = Pace(STAGES, EXPECTED)
    pace.tell("waiting for the GPU", 0.0, 0.0)
    assert (pace.progress(), pace.left(60.0)) == (0.0, Left(None))
