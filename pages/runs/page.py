"""What is running, what ran, and how did it go?"""

import streamlit as st

from engine.core.wording import STATE_WORDS
from engine.runs import jobs
from engine.runs.records import RunRecord
from pages.runs import detail as run_detail
from pages.runs import keeping
from pages.runs import list as run_list
from pages.runs import queue as run_queue
from pages.runs import several as run_several
from pages.runs.queue import ACTIVE
from pages.shared import addresses, frame

_TICK_SECONDS, _IDLE_SECONDS = 1.0, 3.0
_OPEN, _ADDRESS, _STATES = "runs_open", "runs_address", "runs_states"


def show() -> None:
    ws = frame.workspace()
    frame.heading("Runs", "What is running, what ran, and how did it go?")
    if not frame.is_prepared(ws):
        frame.no_data_yet("What runs, waits and has run stands here, with its progress, log and curves.")
        return
    records = jobs.list_runs(ws)
    st.session_state[_STATES] = _states(records)
    keeping.strip(ws)
    if not records:
        _nothing()
        st.fragment(_watch, run_every=_IDLE_SECONDS)()
        return
    ordered = _in_order(records)
    _follow_link(ordered)
    active = any(record.state in ACTIVE for record in records)
    st.caption(_counts(records), width="content")
    with st.container():  # a place of its own: what stands below keeps its place when the queue is empty
        if active:
            st.fragment(_live_queue, run_every=_TICK_SECONDS)()
        else:
            st.fragment(_watch, run_every=_IDLE_SECONDS)()
    run_list.show_list(ordered, opened=st.session_state[_OPEN], choose=_open)
    chosen = [record for record in records if record.run_id in st.session_state[_OPEN]]
    at_work = any(record.state in ACTIVE for record in chosen)
    st.fragment(_live_choice, run_every=_TICK_SECONDS if at_work else None)()


def _nothing() -> None:
    frame.empty_state(
        "No run yet",
        "A run trains or evaluates in the background. It goes on when this page or the app is closed.",
        page=frame.EXPERIMENTS,
        label="Choose the first experiment",
    )


def _follow_link(ordered: list[RunRecord]) -> None:
    """A link ?run=ID opens that run, ?run=ID,ID several; without one, the run of most interest is open, and
    from then on in the address: Back leads to it."""
    known = {record.run_id for record in ordered}
    address = st.query_params.get("run")
    if address is not None and (address != st.session_state.get(_ADDRESS) or _OPEN not in st.session_state):
        asked = [name for name in address.split(",") if name]
        strangers = [name for name in asked if name not in known]
        if strangers:
            names = frame.plain(", ".join(strangers))
            st.warning(f"There is no run {names} in this workspace.", icon=":material/link_off:")
        st.session_state[_OPEN] = [name for name in asked if name in known]
    still = [name for name in st.session_state.get(_OPEN, ()) if name in known]
    st.session_state[_OPEN] = still or [ordered[0].run_id]
    if address is None:
        st.query_params["run"] = address = ",".join(st.session_state[_OPEN])
    st.session_state[_ADDRESS] = address


def _open(run_ids: list[str]) -> None:
    """Open these runs and put them into the address, unless Back asks for others."""
    if addresses.came_back():
        return
    st.session_state[_OPEN] = run_ids
    st.query_params["run"] = st.session_state[_ADDRESS] = ",".join(run_ids)


@frame.guarded
def _watch() -> None:
    """Look now and then while nothing is at work: whatever starts, from wherever, is seen."""
    _looked()


@frame.guarded
def _live_queue() -> None:
    """What is at work and what waits; drawn anew every second."""
    run_queue.show_queue(_looked(), opened=st.session_state[_OPEN], choose=_open)


@frame.guarded
def _live_choice() -> None:
    """The open run, or the several that are compared; drawn anew every second while one is at work."""
    by_id = {record.run_id: record for record in _looked()}
    chosen = [by_id[name] for name in st.session_state[_OPEN] if name in by_id]
    if len(chosen) == 1:
        run_detail.show(frame.workspace(), chosen[0])
    elif chosen:
        run_several.show(frame.workspace(), chosen)


def _looked() -> list[RunRecord]:
    """The runs as they stand now; when one has changed its state, the whole page is drawn anew."""
    records = jobs.list_runs(frame.workspace())
    if st.session_state.get(_STATES) != _states(records):
        st.session_state[_STATES] = _states(records)
        st.rerun()
    return records


def _states(records: list[RunRecord]) -> dict[str, str]:
    return {record.run_id: record.state for record in records}


def _in_order(records: list[RunRecord]) -> list[RunRecord]:
    """Running first, then the queue in its order, then what ended, newest first."""
    waiting = [record for record in records if record.state in ACTIVE]
    ended = [record for record in records if record.state not in ACTIVE]
    waiting.sort(key=lambda record: (ACTIVE.index(record.state), record.order))
    return waiting + sorted(
        ended, key=lambda record: (record.status.ended_at or "", record.order), reverse=True
    )


def _counts(records: list[RunRecord]) -> str:
    counted = {state: sum(record.state == state for record in records) for state in STATE_WORDS}
    return ", ".join(
        f"{number:,} {STATE_WORDS[state].lower()}" for state, number in counted.items() if number
    )


if __name__ == "__main__":
    frame.run(show)
