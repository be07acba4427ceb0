"""The vote on a blind conversation, what it reveals, and the way to the next one."""

from __future__ import annotations

import streamlit as st

from engine.core.paths import Workspace
from engine.core.questions import Answer, Question
from engine.results import votes
from engine.results.votes import Choice, Vote
from pages.shared import frame

_BUTTONS: tuple[tuple[Choice, str, str, str], ...] = (
    ("left", "Left is better", ":material/west:", "1"),
    ("tie", "Tie", ":material/balance:", "2"),
    ("both bad", "Both bad", ":material/thumb_down:", "3"),
    ("right", "Right is better", ":material/east:", "4"),
)


def show(
    ws: Workspace, question: Question, answer: Answer, vote: Vote | None, *, conversation_id: str
) -> bool:
    """Show the four choices, or what was chosen and who it was; return whether another one is wished."""
    if vote is not None:
        return _revealed(ws, vote, conversation_id)
    if answer.state != "done" or any(reply.error for reply in answer.replies):
        st.caption("Only two finished replies can be voted on.")
        return _another()
    _choices(ws, question, answer, conversation_id)
    return False


def _choices(ws: Workspace, question: Question, answer: Answer, conversation_id: str) -> None:
    differ = votes.can_differ(answer)
    if not differ:
        st.caption("Both say the same.")
    with st.container(horizontal=True, gap="small"):
        for choice, label, icon, key in _BUTTONS:
            pressed = frame.action(
                label, icon=icon, shortcut=key, key=f"playground_vote_{choice}",
                off=not differ and choice in ("left", "right"),
            )  # fmt: skip
            if pressed:
                with frame.boundary():
                    votes.cast(ws, question, answer, choice, conversation_id=conversation_id)
                    st.rerun()
    st.caption("Names, scores and the right reply are shown after your vote.")


def _revealed(ws: Workspace, vote: Vote, conversation_id: str) -> bool:
    won = {"left": vote.left.variant, "right": vote.right.variant}.get(vote.choice)
    told = f"Your vote: **{frame.plain(won)}** is better." if won else f"Your vote: {vote.choice}."
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":material/how_to_vote: {told}", width="content")
        standing = votes.read(ws)
        mine = bool(standing) and standing[-1].conversation_id == conversation_id
        if mine and frame.action("Take it back", icon=":material/undo:", key="playground_undo"):
            votes.undo(ws)
            st.rerun()
        return _another()


def _another() -> bool:
    return frame.action(
        "Another", icon=":material/casino:", shortcut="5", key="playground_another",
        help="A message of anybody's test dialogues, drawn at random, to two of the chosen variants.",
    )  # fmt: skip
