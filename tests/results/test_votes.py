"""Votes: only blind, finished and different replies take one; files first; taken back, never lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.questions import new_id
from engine.domains import metrics
from engine.results import store, votes
from engine.results.votes import Choice, Vote
from engine.serve.board import board
from tests.serve.made import answered, question
from tests.workspaces import make_workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def cast(
    ws: Workspace, choice: Choice, *, sides: tuple[str, str] = ("base", "unified"), scores: Any = (0.4, 0.8)
) -> Vote:
    asked = question(*sides, blind=True, example_id="d#1", reference="Dimmed.")
    answer = answered(asked, "Yes.", "Dimmed.", scores=scores)
    return votes.cast(ws, asked, answer, choice, conversation_id=asked.question_id)


def test_a_vote_is_written_down(ws: Workspace) -> None:
    vote = cast(ws, "right")
    assert json.loads(votes.path(ws).read_text())["choice"] == "right"
    assert votes.read(ws) == [vote]
    assert (vote.left.variant, vote.right.variant) == ("base", "unified")
    assert vote.right.scores == {"embedding_similarity": 0.8}


def test_votes_outlive_the_database(ws: Workspace) -> None:
    cast_ones = [cast(ws, choice) for choice in votes.CHOICES]
    store.rebuild(ws)
    ws.database.unlink()
    assert votes.read(ws) == cast_ones


def test_the_last_vote_is_taken_back_and_the_file_only_grows(ws: Workspace) -> None:
    first, second = cast(ws, "left"), cast(ws, "tie")
    assert votes.undo(ws) == second
    assert votes.read(ws) == [first]
    assert len(votes.path(ws).read_text().splitlines()) == 3
    assert votes.undo(ws) == first
    assert votes.undo(ws) is None
    assert votes.read(ws) == []


def test_a_conversation_has_one_vote_until_it_is_taken_back(ws: Workspace) -> None:
    asked = question("base", "unified", blind=True)
    answer = answered(asked, "One.", "Two.")
    vote = votes.cast(ws, asked, answer, "left", conversation_id=asked.question_id)
    assert votes.vote_of(ws, asked.question_id) == vote
    with pytest.raises(EngineError, match="its vote already"):
        votes.cast(ws, asked, answer, "right", conversation_id=asked.question_id)
    votes.undo(ws)
    assert votes.cast(ws, asked, answer, "right", conversation_id=asked.question_id).choice == "right"


def test_what_is_no_blind_and_finished_comparison_takes_no_vote(ws: Workspace) -> None:
    asked = question("base", "unified", blind=True)
    answer = answered(asked, "One.", "Two.")
    silent = replace(answer.replies[1], error="It cannot.")
    for wrong_question, wrong_answer, choice, why in [
        (replace(asked, blind=False), answer, "left", "blind question"),
        (asked, replace(answer, state="cancelled"), "left", "not finished"),
        (asked, replace(answer, replies=(answer.replies[0], silent)), "left", "could not answer"),
        (asked, answered(asked, "Same.", "Same."), "left", "the same"),
        (asked, answer, "middle", "no choice"),
    ]:
        with pytest.raises(EngineError, match=why):
            votes.cast(ws, wrong_question, wrong_answer, choice, conversation_id=new_id())  # type: ignore[arg-type]
    assert votes.read(ws) == []
    same = answered(asked, "Same.", "Same.")
    assert votes.cast(ws, asked, same, "tie", conversation_id=new_id()).choice == "tie"


def test_a_torn_line_costs_one_vote_and_no_more(ws: Workspace) -> None:
    first = cast(ws, "left")
    with votes.path(ws).open("a") as file:
        file.write('{"vote_id": "torn", "at"')
    second = cast(ws, "right")
    assert votes.read(ws) == [first, second]


def test_a_vote_does_not_touch_the_database(ws: Workspace) -> None:
    store.refresh(ws)
    before = ws.database.stat().st_mtime_ns
    cast(ws, "left")
    assert store.refresh(ws) == store.Report()
    assert ws.database.stat().st_mtime_ns == before


def test_the_board_counts_sides_pairs_and_agreement(ws: Workspace) -> None:
    for choice in ("right", "right", "left", "tie", "both bad"):
        cast(ws, choice)  # type: ignore[arg-type]
    cast(ws, "left", scores=(0.5, 0.5))  # equal scores decide nothing
    cast(ws, "left", scores=(None, None))
    cast(ws, "left", sides=("unified", "base"), scores=(0.9, 0.1))
    found = board(votes.read(ws), {"id-unified": "unified-today"}, metrics.headline(ws))
    assert {one.name for one in found.ratings} == {"base", "unified-today"}
    (pair,) = found.pairings
    assert (pair.first, pair.first_won, pair.second_won, pair.ties, pair.both_bad) == ("base", 3, 3, 1, 1)
    similarity = found.agreement[0]
    assert (similarity.agreed, similarity.decided) == (3, 4)
    assert similarity.low is not None
    assert similarity.low < 0.75 < (similarity.high or 0)
    assert found.agreement[1].share is None
    assert (found.votes, found.left_won, found.right_won) == (8, 4, 2)


def test_votes_on_variants_that_became_one_are_no_games(ws: Workspace) -> None:
    cast(ws, "left")
    assert board(votes.read(ws), {"id-unified": "same", "id-base": "same"}, ()).ratings == ()
