"""The dock in the sidebar of every page: what is at work, what waits, and word when a run has ended.

When a run changes its state, or the autopilot moves on, the page one is on is drawn anew.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import STATE_WORDS, duration
from engine.runs import jobs
from engine.runs.records import RunRecord, scan
from engine.show.run_words import title, underway, waiting
from pages.shared import frame, reads

_TICK_SECONDS = 1.0
_STATES, _AT_WORK = "dock_states", ("queued", "running")
_LISTED = 3
_HERE = Path(__file__).resolve().parent
_notice = st.components.v2.component(
    "run_notice",
    html='<button type="button" hidden>Tell me when a run ends</button>',
    css=(_HERE / "notice.css").read_text(encoding="utf-8"),
    js=(_HERE / "notice.js").read_text(encoding="utf-8"),
)


def show() -> None:
    """Draw the dock below the menu; nothing where nothing is at work. Tells of runs that have just ended."""
    ws = frame.workspace()
    if not frame.is_prepared(ws):
        return
    with frame.boundary(), st.sidebar:
        records, walking = scan(ws), _pilot(ws)
        ended = _just_ended(ws, records)
        st.session_state[_STATES] = _states(ws, records, walking)
        for record in ended:
            st.toast(frame.plain(_end_words(ws, record)), icon=frame.STATE_ICONS[record.state])
        at_work = bool(walking) or any(
            record.state in _AT_WORK and not record.elsewhere for record in records
        )
        if at_work:
            st.fragment(_live, run_every=_TICK_SECONDS)()
        if at_work or ended:
            told = [
                {"id": f"{one.run_id} {one.status.attempt}", "text": _end_words(ws, one)} for one in ended
            ]
            _notice(key="dock_notice", data={"ended": told})


@frame.guarded
def _live() -> None:
    """What is at work now, each second; the whole page is drawn anew once its states are others."""
    ws = frame.workspace()
    records, walking = jobs.list_runs(ws), _pilot(ws)
    if _states(ws, records, walking) != st.session_state.get(_STATES):
        st.rerun()
    with st.container(border=True, gap="xsmall"):
        if walking:
            st.caption(f":material/flight: Autopilot walks {frame.plain(walking[0])}")
        for record in records:
            if record.state == "running":
                _running(ws, record)
        _waiting(ws, [one for one in records if one.state == "queued" and not one.elsewhere])


def _running(ws: Workspace, record: RunRecord) -> None:
    frame.run_link(record.run_id, title(record, ws), icon=frame.STATE_ICONS["running"])
    st.progress(record.progress, text=frame.plain(underway(record)))
    _cancel(ws, record, icon=":material/stop_circle:")


def _cancel(ws: Workspace, record: RunRecord, *, icon: str) -> None:
    if frame.action(
        "Cancel",
        icon=icon,
        type="tertiary",
        key=f"dock_stop_{record.run_id}",
        command=frame.command("cancel", record.run_id),
    ):
        with st.spinner("Asking the run to write a checkpoint and end ..."):
            jobs.cancel(ws, record.run_id)
        st.rerun()


def _waiting(ws: Workspace, queued: Sequence[RunRecord]) -> None:
    if not queued:
        return
    st.caption(waiting(queued))
    for record in queued[:_LISTED]:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            frame.run_link(record.run_id, title(record, ws), icon=frame.STATE_ICONS["queued"])
            _cancel(ws, record, icon=":material/close:")
    if len(queued) > _LISTED:
        frame.run_link(queued[0].run_id, f"and {len(queued) - _LISTED:,} more")


def _pilot(ws: Workspace) -> tuple[str, str | None] | None:
    """The tree that the autopilot walks and where it is; None while it does not walk."""
    found = reads.walking(ws)
    return None if found is None else (found.tree, found.node)


def _states(ws: Workspace, records: Sequence[RunRecord], walking: Any) -> tuple[str, dict[str, str], Any]:
    return str(ws.root), {record.run_id: record.state for record in records}, walking


def _just_ended(ws: Workspace, records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs of this study that were at work when it was last looked at here."""
    root, before, _ = st.session_state.get(_STATES, ("", {}, None))
    there = before if root == str(ws.root) else {}
    return [one for one in records if one.ended and there.get(one.run_id) in _AT_WORK]


def _end_words(ws: Workspace, record: RunRecord) -> str:
    """Word how a run ended: "Unified LoRA: done in 2 min 3 s", "Routing by validation: failed. No memory"."""
    if record.state == "succeeded":
        return f"{title(record, ws)}: done in {duration(record.status.seconds)}"
    why = f". {record.error.splitlines()[0]}" if record.error else ""
    return f"{title(record, ws)}: {STATE_WORDS[record.state].lower()}{why}"
