"""What is at work now and what waits its turn: progress, time left, cancel, and who goes first."""

from collections.abc import Callable, Sequence

import streamlit as st

from engine.core.machine import read_machine
from engine.core.wording import count, duration
from engine.runs import jobs
from engine.runs.records import RunRecord
from engine.show.run_words import changed_words, title, underway, waiting, where
from pages.shared import frame

ACTIVE = ("running", "queued")
_SILENT_SECONDS = 10
_LISTED = 5


def show_queue(
    records: Sequence[RunRecord], *, opened: Sequence[str], choose: Callable[[list[str]], None]
) -> None:
    """Show every run at work with its progress, then the queue in its order; `choose` opens a run.

    The one run that is `opened` below shows its progress there.
    """
    running = [one for one in records if one.state == "running" and list(opened) != [one.run_id]]
    queued = sorted((one for one in records if one.state == "queued"), key=lambda one: one.order)
    foreign = [one for one in queued if one.elsewhere]
    queued = [one for one in queued if not one.elsewhere]
    if foreign:
        _elsewhere(foreign, choose)
    if not running and not queued:
        return
    with st.container(border=True, gap="small"):
        for record in running:
            _running(record, choose)
        if queued:
            _queue(queued, choose)


def progress(record: RunRecord) -> None:
    """Show how far a run is, how long it still takes, and whether it shows signs of life."""
    st.progress(record.progress, text=frame.plain(underway(record)))
    silent = record.heartbeat_age_seconds
    if silent is not None and silent > _SILENT_SECONDS:
        st.caption(f"No sign of life for {duration(silent)}.")


def cancel(run_id: str) -> None:
    """End a run and draw the page anew."""
    with st.spinner("Asking the run to write a checkpoint and end ..."):
        jobs.cancel(frame.workspace(), run_id)
    st.rerun()


def _running(record: RunRecord, choose: Callable[[list[str]], None]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        frame.state_badge("running")
        _opening(record, choose)
    progress(record)


def _queue(queued: Sequence[RunRecord], choose: Callable[[list[str]], None]) -> None:
    paused = read_machine(frame.workspace()).training_slots == 0
    if paused:
        then = "; paused: none starts (see Settings)"
    elif all(record.blocked for record in queued):
        then = "; each starts once what it needs is resumed"
    else:
        then = "; each starts by itself when its turn comes"
    st.caption(waiting(queued) + then)
    for place, record in enumerate(queued[:_LISTED], start=1):
        # In columns, so that the width of a name, not yet known while the page loads, moves no button.
        who, what = st.columns([3, 1], gap=None, vertical_alignment="center")
        with who.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{place}.", width="content")
            _opening(record, choose)
        with what.container(horizontal=True, horizontal_alignment="right", gap="small"):
            if place > 1 and frame.action(
                "First",
                icon=":material/vertical_align_top:",
                key=f"runs_first_{record.run_id}",
                type="tertiary",
                help="Move it to the front of the queue, with what it needs.",
                command=frame.command("queue", "move", record.run_id, first=True),
            ):
                jobs.move(frame.workspace(), record.run_id)
                st.rerun()
            if frame.action(
                "Cancel",
                icon=":material/close:",
                key=f"runs_drop_{record.run_id}",
                type="tertiary",
                command=frame.command("cancel", record.run_id),
            ):
                cancel(record.run_id)
    if len(queued) > _LISTED:
        st.caption(f"and {len(queued) - _LISTED:,} more, in the list below")


def _elsewhere(foreign: Sequence[RunRecord], choose: Callable[[list[str]], None]) -> None:
    """Runs that were queued in another place, on another machine or by another user: a click starts them."""
    can_run = [one.run_id for one in foreign if one.error is None]
    with st.container(border=True, gap="small"):
        waits = "waits" if len(foreign) == 1 else "wait"
        st.markdown(f":material/move_to_inbox: **{count(len(foreign), 'run')} from elsewhere {waits}**")
        st.caption("Queued in another place or by another user, or changed since: none starts by itself.")
        for record in foreign[:_LISTED]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                _opening(record, choose)
            if record.error:
                st.caption(frame.plain(record.error))
        if can_run and st.button(
            "Start them here" if len(can_run) > 1 else "Start it here",
            icon=":material/play_arrow:",
            key="runs_take_up",
            disabled=frame.read_only(),
            help=frame.as_command(
                "\n".join(frame.command("resume", one) for one in can_run),
                "Check what each run does first. To leave them, do nothing.",
            ),
        ):
            jobs.take_up(frame.workspace(), can_run)
            st.rerun()


def _opening(record: RunRecord, choose: Callable[[list[str]], None]) -> None:
    """The run's name, which opens it, and what it is about."""
    if st.button(
        frame.plain(record.run_id), key=f"runs_show_{record.run_id}", type="tertiary", help="Open this run"
    ):
        choose([record.run_id])
        st.rerun()
    told = ", ".join(part for part in (title(record, frame.workspace()), changed_words(record)) if part)
    waits = where(record) if record.state == "queued" else ""
    st.caption(frame.plain(f"{told}; {waits}" if waits else told), width="content")
