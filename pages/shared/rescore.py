"""The offer to compute a metric for replies that are there, wherever a page misses its scores."""

from collections.abc import Sequence

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import count
from engine.domains.metric import Metric
from engine.results import rescoring
from engine.results.comparing.remarks import NotComputed
from pages.shared import frame


def instead(ws: Workspace, missing: NotComputed) -> None:
    """Say that a metric is not there, in place of what it would show, and offer to compute it."""
    st.info(frame.plain(missing.message), icon=":material/calculate:")
    if missing.can_be:
        offer(ws, [missing.metric])
    else:
        st.caption(frame.plain(missing.hint))


def offer(ws: Workspace, metrics: Sequence[Metric]) -> None:
    """Show the button that computes these metrics for all replies that lack them."""
    names = ", ".join(one.label for one in metrics)
    if frame.action(
        f"Compute {frame.plain(names)}" if len(metrics) == 1 else "Compute what is missing",
        icon=":material/calculate:",
        key="rescore_" + "_".join(one.name for one in metrics),
        help="For the replies that are there; nothing is generated again.",
        command=frame.command("rescore", metric=[one.name for one in metrics]),
    ):
        with st.spinner(f"Computing {names} ..."):
            done = rescoring.rescore(ws, [one.name for one in metrics])
        st.toast(f"{count(sum(one.replies for one in done), 'reply', 'replies')} scored.")
        st.rerun()
