"""The board of votes: empty, with a few, and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.paths import Workspace
from engine.results import votes
from tests.pages.conftest import Open, texts
from tests.sample_study import finish, prepare_world
from tests.serve.made import answered, question


@pytest.fixture
def voted(tmp_path: Path) -> Workspace:
    """A workspace with three votes."""
    ws = prepare_world(tmp_path / "voted", personas=5, dialogues=6)
    finish(ws, "unified", per_persona=2)
    for choice in ("right", "right", "tie"):
        asked = question("base", "unified", blind=True)
        answer = answered(asked, "One.", "Two.", scores=(0.2, 0.7))
        votes.cast(ws, asked, answer, choice, conversation_id=asked.question_id)  # type: ignore[arg-type]
    return ws


def test_without_votes_the_page_leads_to_the_first(
    open_page: Open, empty: Workspace, prepared: Workspace, full: Workspace
) -> None:
    assert "No data yet" in texts(open_page(empty, "votes"))
    app = open_page(prepared, "votes")
    assert "No votes yet" in texts(app)
    assert "It takes two variants that can answer" in texts(app)
    assert "It takes two variants" not in texts(open_page(full, "votes"))


def test_the_board_shows_ratings_agreement_and_pairs(open_page: Open, voted: Workspace) -> None:
    app = open_page(voted, "votes")
    ratings, agreement, pairs = (entry.value for entry in app.dataframe)
    assert list(ratings["Variant"]) == ["unified", "base"]
    assert list(ratings["Won"]) == [2, 0]
    assert ratings["Rating"].iloc[0] > 1000 > ratings["Rating"].iloc[1]
    assert agreement["Agrees"].iloc[0] == "2 of 2"
    assert list(pairs.iloc[0]) == ["base", "unified", 0, 2, 1, 0]
    assert "left side won 0 of 2" in texts(app)
    told = [link.proto.label for link in app.get("page_link") if "ana" in link.proto.label]
    assert [one.split(": ")[1] for one in told] == ["base as good as unified", *["unified over base"] * 2]


def test_the_last_vote_is_taken_back(open_page: Open, voted: Workspace) -> None:
    app = open_page(voted, "votes")
    app.button(key="votes_undo").click().run()
    assert list(app.dataframe[0].value["Tied"]) == [0, 0]
    assert len(votes.read(voted)) == 2
