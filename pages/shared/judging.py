"""The press that judges on test, wherever a page asks for it: what it costs, and what it looks at."""

from __future__ import annotations

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import count
from engine.results.comparing.comparison import compare_variants
from pages.shared import frame
from pages.shared.reads import NotJudged


def instead(ws: Workspace, missing: NotJudged, *, page: str) -> None:
    """Say what waits for a verdict, in place of its numbers; judge it on a press, or lead back to val."""
    number = count(len(missing.waiting), "variant")
    waits = "waits" if len(missing.waiting) == 1 else "wait"
    with st.container(border=True, gap="small"):
        st.subheader("Test is not judged yet", anchor=False)
        st.markdown(
            f"In {missing.metric.label.lower()}, {number} {waits} for a verdict: "
            f"{frame.plain(', '.join(missing.waiting))}. Each look at test is recorded, and the more there "
            "are, the likelier is a lucky winner: choose on validation first."
        )
        with st.container(horizontal=True, gap="small"):
            offer(ws, missing, f"Judge on test ({number})", key=f"{page}_judge_all")
            st.button(
                "Back to validation",
                icon=":material/arrow_back:",
                key=f"{page}_to_val",
                on_click=frame.choose,
                args=(page, "split", "val"),
            )


def offer(ws: Workspace, missing: NotJudged, label: str, *, key: str) -> None:
    """Show the button that judges what waits, which is recorded."""
    names = ", ".join(missing.waiting)
    frame.action(
        label,
        icon=":material/gavel:",
        key=key,
        help=frame.plain(f"Looks at test for {names}, and counts it."),
        on_click=_judge,
        args=(ws, missing),
    )


def _judge(ws: Workspace, missing: NotJudged) -> None:
    with frame.boundary():
        compare_variants(ws, **missing.asked)
