"""Which replies do people prefer, and do the metrics agree with them?"""

from collections import Counter
from functools import partial

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import ago, count, percent, percents
from engine.domains import metrics
from engine.results import votes
from engine.results.votes import Vote
from engine.serve.board import FEW_VOTES, Board, board
from engine.serve.conversation import can_answer
from engine.show.charts.ratings import ratings_chart
from engine.show.tables import vote_table
from pages.shared import downloads, frame, reads

_LAST = 20
_NOBODY = "nobody named"


def show() -> None:
    ws = frame.workspace()
    frame.heading("Votes", "Which replies do people prefer when they do not know whose they are?")
    if not frame.is_prepared(ws):
        frame.no_data_yet(
            "What people prefer when they do not know whose reply it is stands here, as ratings."
        )
        return
    cast = _votes(ws, votes.signature(ws))
    if not cast:
        with st.container(border=True, horizontal_alignment="left", gap="small"):
            st.subheader("No votes yet", anchor=False)
            st.markdown(
                "In blind mode two variants answer side by side without names. Vote, and see who it was."
                " Ratings build up here, and how far the metrics agree with you."
            )
            if sum(can_answer(one) for one in reads.variants(ws)) >= 2:
                _to_blind("Cast the first vote")
            else:
                st.caption("It takes two variants that can answer, and runs make them.")
                st.page_link(frame.HOME, label="Run the first experiment", icon=":material/arrow_forward:")
        return
    whose = _whose(cast)
    cast = [vote for vote in cast if whose in (None, vote.voter)]
    found = _board(ws, votes.signature(ws), whose)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="links_votes"):
        if found.votes < FEW_VOTES:
            st.badge(
                f"Few votes: {found.votes}",
                icon=":material/info:",
                color="orange",
                help=f"With fewer than {FEW_VOTES} votes the intervals are wide and mean little.",
            )
        else:
            st.badge(count(found.votes, "vote"), icon=":material/how_to_vote:", color="gray")
        _to_blind("Vote on")
    left, right = st.columns(2, gap="large")
    with left:
        _ratings(found)
    with right:
        _agreement(found)
        _pairings(found)
    _last(ws, cast, whose)


@reads.kept
def _votes(ws: Workspace, signature: str) -> list[Vote]:
    return votes.read(ws)


@reads.shared  # its metrics hold functions, which cannot be copied
def _board(ws: Workspace, signature: str, whose: str | None) -> Board:
    names = {one.variant_id: one.variant for one in reads.variants(ws)}
    cast = [vote for vote in _votes(ws, signature) if whose in (None, vote.voter)]
    return board(cast, names, metrics.headline(ws))


def _whose(cast: list[Vote]) -> str | None:
    """Whose votes are looked at, None for everybody's; asked only where several have voted."""
    voters = Counter(vote.voter for vote in cast)
    if len(voters) < 2:
        return None
    return frame.linked_choice(
        "Voter", list(voters), page="votes", name="voter", whole="Everybody",
        words=lambda one: f"{one or _NOBODY}: {count(voters[one], 'vote')}",
    )  # fmt: skip


def _to_blind(label: str) -> None:
    st.page_link(frame.PLAYGROUND, label=label, icon=":material/visibility_off:", query_params={"blind": "1"})


def _ratings(found: Board) -> None:
    st.subheader("Ratings", anchor=False)
    if not found.ratings:
        st.caption("All votes are on variants that have become one.")
        return
    frame.chart(
        ratings_chart(found.ratings), alt="Bradley-Terry ratings of the variants with their 95 % intervals"
    )
    frame.table(
        {
            "Variant": [one.name for one in found.ratings],
            "Rating": [round(one.rating) for one in found.ratings],
            "95 % interval": [f"{one.low:.0f} to {one.high:.0f}" for one in found.ratings],
            "Won": [one.wins for one in found.ratings],
            "Tied": [one.ties for one in found.ratings],
            "Lost": [one.losses for one in found.ratings],
        },
        alt="Ratings with intervals, wins, ties and losses",
    )
    st.caption(
        "Bradley-Terry ratings: 1000 is the average, and 400 points more mean ten to one. A tie, or both bad,"
        " is half a win for each. Everybody has also drawn once against an average opponent, so that few"
        " votes claim little. Intervals are over 1,000 resamples of the votes."
    )


def _agreement(found: Board) -> None:
    st.subheader("Do the metrics agree?", anchor=False)
    known = [one for one in found.agreement if one.decided]
    if not known:
        st.caption(
            "Not known yet: it needs votes for one side on test examples whose replies score differently."
        )
        return
    frame.table(
        {
            "Metric": [one.metric.label for one in known],
            "Agrees": [f"{one.agreed} of {one.decided}" for one in known],
            "Share": [percent(one.share) for one in known],
            "95 % interval": [percents(one.low, one.high) for one in known],
        },
        alt="How often the side with the better score won the vote, by metric",
    )
    st.caption(
        "Of the votes for one side: how often its reply scored better (Wilson's interval). Chance is 50 %."
    )


def _pairings(found: Board) -> None:
    st.subheader("Who met whom", anchor=False)
    rows = found.pairings
    frame.table(
        {
            "First": [one.first for one in rows],
            "Second": [one.second for one in rows],
            "First won": [one.first_won for one in rows],
            "Second won": [one.second_won for one in rows],
            "Ties": [one.ties for one in rows],
            "Both bad": [one.both_bad for one in rows],
        },
        alt="Votes by pair of variants",
    )
    sides = found.left_won + found.right_won
    if sides:
        st.caption(
            f"The left side won {found.left_won} of {sides} decided votes; the sides are drawn at random."
        )


def _last(ws: Workspace, cast: list[Vote], whose: str | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Last votes", anchor=False, width="content")
        if frame.action("Take the last one back", icon=":material/undo:", key="votes_undo"):
            votes.undo(ws, voter=whose)
            st.rerun()
        downloads.table_menu(partial(vote_table, ws), name="votes", key="votes")
    for vote in reversed(cast[-_LAST:]):
        who = reads.called(ws, vote.persona_id)
        left, right = vote.left.variant, vote.right.variant
        told = f"{left} as good as {right}" if vote.choice == "tie" else f"neither {left} nor {right}"
        if vote.winner:
            told = f"{vote.winner} over {vote.loser}"
        by = f" by {vote.voter}" if vote.voter else ""
        st.page_link(
            frame.PLAYGROUND,
            label=frame.plain(f"{ago(vote.at)}{by}, {who}: {told}"),
            query_params={"question": vote.question_id},
        )


if __name__ == "__main__":
    frame.run(show)
