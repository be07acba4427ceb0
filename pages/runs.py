"""What is running, what ran, and how did it go?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from engine import jobs, views
from engine.experiments import catalog
from engine.records import RunRecord
from engine.runfolder import RESUMABLE, declared, read_events, read_log
from engine.wording import STATE_WORDS, ago, count, duration, fact, percent, spelled, stage
from pages import frame

_TICK_SECONDS = 1.0
_LOG_LINES = 200
_VIEWS = ("Progress", "Log", "Parameters", "Origin")
_RANK = {"running": 0, "queued": 1}
_TABLE = "runs_table"


def show() -> None:
    ws = frame.workspace()
    frame.heading("Runs", "What is running, what ran, and how did it go?")
    records = jobs.list_runs(ws) if frame.is_prepared(ws) else []
    if not records:
        _nothing(prepared=frame.is_prepared(ws))
        return
    _follow_link(records)
    active = any(record.state in _RANK for record in records)
    live = st.fragment(_live, run_every=_TICK_SECONDS if active else None)
    live()


def _nothing(*, prepared: bool) -> None:
    if not prepared:
        frame.no_data_yet()
        return
    frame.empty_state(
        "No run yet",
        "A run trains or evaluates in the background. It goes on when this page or the app is closed.",
        page=frame.HOME,
        label="Choose the first experiment",
        icon=":material/arrow_forward:",
    )


def _follow_link(records: list[RunRecord]) -> None:
    """A link ?run=ID opens that run; without one, the run of most interest is open."""
    asked = st.query_params.get("run")
    known = [record.run_id for record in records]
    if asked is not None and asked not in known:
        st.warning(f"There is no run {frame.plain(asked)} in this workspace.", icon=":material/link_off:")
    if asked in known:
        st.session_state["runs_open"] = asked
    elif st.session_state.get("runs_open") not in known:
        st.session_state["runs_open"] = _in_order(records)[0].run_id


@frame.guarded
def _live() -> None:
    """The list and the open run; drawn anew every second while anything is active."""
    records = jobs.list_runs(frame.workspace())
    states = {record.run_id: record.state for record in records}
    if st.session_state.setdefault("runs_states", states) != states:
        st.session_state["runs_states"] = states
        st.rerun()
    ordered = _in_order(records)
    if st.session_state.get("runs_open") not in states:
        st.session_state["runs_open"] = ordered[0].run_id
    _list(ordered)
    _open_run(next(one for one in ordered if one.run_id == st.session_state["runs_open"]))


def _in_order(records: list[RunRecord]) -> list[RunRecord]:
    """Running first, then the queue in its order, then what ended, newest first."""
    waiting = [record for record in records if record.state in _RANK]
    ended = [record for record in records if record.state not in _RANK]
    waiting.sort(key=lambda record: (_RANK[record.state], record.order))
    return waiting + sorted(ended, key=lambda record: -record.order)


def _list(ordered: list[RunRecord]) -> None:
    """The table of runs; the selected row is the open run."""
    counted = {state: sum(record.state == state for record in ordered) for state in STATE_WORDS}
    st.caption(
        ", ".join(f"{number} {STATE_WORDS[state].lower()}" for state, number in counted.items() if number)
    )
    shown = [record.run_id for record in ordered]
    st.session_state["runs_shown"] = shown
    frame.select_row(_TABLE, shown.index(st.session_state["runs_open"]))
    text = st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame([_row(record) for record in ordered]),
        key=_TABLE,
        hide_index=True,
        on_select=_choose,
        selection_mode="single-row-required",
        height="content" if len(ordered) <= 8 else "auto",
        placeholder="",
        alt="All runs with state, progress and time; select a row to open the run",
        column_order=_columns(ordered),
        column_config={
            "Run": text(width="medium"),
            "State": text(width="small"),
            "Progress": st.column_config.ProgressColumn(
                format="percent", min_value=0, max_value=1, width="small"
            ),
            "Stage": text(width="medium"),
            "Time left": text(width="small"),
            "Time taken": text(width="small"),
            "When": text(width="small"),
        },
    )


def _columns(ordered: list[RunRecord]) -> list[str]:
    """Only the columns that say something of these runs."""
    now = ["Progress", "Stage", "Time left"] if any(record.state in _RANK for record in ordered) else []
    return ["Run", "State", *now, "Time taken", "When"]


def _choose() -> None:
    """Open the selected run and put it into the address."""
    rows = st.session_state[_TABLE]["selection"]["rows"]
    shown = st.session_state["runs_shown"]
    if rows and rows[0] < len(shown):
        st.session_state["runs_open"] = shown[rows[0]]
        st.query_params["run"] = shown[rows[0]]


def _row(record: RunRecord) -> dict[str, Any]:
    status, running = record.status, record.state == "running"
    plain = record.state == "succeeded" or not record.ended or not record.progress
    when = status.ended_at if record.ended else status.started_at if running else status.queued_at
    return {
        "Run": record.run_id,
        "State": STATE_WORDS[record.state] + ("" if plain else f" at {percent(record.progress)}"),
        "Progress": record.progress,
        "Stage": _stage(record),
        "Time left": duration(status.eta_seconds) if running else "",
        "Time taken": duration(status.seconds) if status.seconds else "",
        "When": ago(when),
    }


def _stage(record: RunRecord) -> str:
    status = record.status
    if record.state == "running":
        return stage(status.stage, status.done, status.total, status.unit)
    if record.blocked:
        return "blocked"
    if record.waiting_for:
        return f"waits for {', '.join(record.waiting_for)}"
    return "" if record.state == "succeeded" else status.stage


def _open_run(record: RunRecord) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(_title(record), anchor=False, width="content")
            frame.state_badge(record.state)
        _lead(record)
        if record.state == "running":
            _progress(record)
        if record.error and record.state != "succeeded":
            _why(record)
        _buttons(record)
        chosen = st.segmented_control(
            "Show", _VIEWS, default=_VIEWS[0], required=True, key="runs_view", label_visibility="collapsed"
        )
        {"Log": _log, "Parameters": _parameters, "Origin": _origin}.get(chosen or "", _curve)(record)


def _title(record: RunRecord) -> str:
    known = catalog.EXPERIMENTS.get(record.experiment)
    return known.title if known else record.experiment


def _lead(record: RunRecord) -> None:
    known = catalog.EXPERIMENTS.get(record.experiment)
    if known:
        st.markdown(known.question)
    told = [f"Run {record.run_id}"]
    if record.status.seconds:
        told.append(f"{duration(record.status.seconds)} at work")
    if record.ended:
        told.append(f"ended {ago(record.status.ended_at)}")
    st.caption(", ".join(told))


def _progress(record: RunRecord) -> None:
    status = record.status
    left = f", {duration(status.eta_seconds)} left" if status.eta_seconds is not None else ""
    where = stage(status.stage, status.done, status.total, status.unit)
    st.progress(record.progress, text=f"{record.progress:.0%}, {frame.plain(where)}{left}")
    silent = record.heartbeat_age_seconds
    if silent is not None and silent > 10:
        st.caption(f"No sign of life for {duration(silent)}.")


def _why(record: RunRecord) -> None:
    show = st.error if record.state == "failed" else st.warning
    show(frame.plain(record.error or ""), icon=frame.STATE_ICONS[record.state])
    if record.status.hint and record.state == "failed":  # of the others, the button beside it says the same
        st.caption(frame.plain(record.status.hint))


def _buttons(record: RunRecord) -> None:
    """Cancel or resume, whichever the run allows, and what it would do."""
    cancelled = resumed = False
    if record.state == "succeeded":
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if record.state in _RANK:
            cancelled = st.button("Cancel", icon=":material/stop_circle:", key="runs_cancel")
        if record.state in RESUMABLE or record.blocked:
            resumed = st.button("Resume", icon=":material/resume:", key="runs_resume")
        st.caption(_reason(record))
    if cancelled:
        with st.spinner("Asking the run to write a checkpoint and end ..."):
            jobs.cancel(frame.workspace(), record.run_id)
        st.rerun()
    if resumed:
        jobs.resume(frame.workspace(), record.run_id)
        st.rerun()


def _reason(record: RunRecord) -> str:
    if record.blocked:
        return (
            f"It waits for {', '.join(record.waiting_for)}, which ended without success. Resume queues both."
        )
    return {
        "queued": "It is waiting for its turn; it starts by itself.",
        "running": "Cancel asks for a checkpoint first, so that it can go on later.",
        "failed": "It goes on from its last checkpoint, if it has one.",
        "cancelled": "It goes on from its last checkpoint.",
        "lost": "Its process is gone. It goes on from its last checkpoint.",
    }[record.state]


def _curve(record: RunRecord) -> None:
    _facts(record)
    events = read_events(frame.workspace().run_folder(record.run_id))
    table = views.loss_table(events)
    if not table.empty:
        st.altair_chart(
            views.loss_chart(table), alt="Loss in training and validation by step", key="runs_loss"
        )
    elif record.state == "running":
        st.caption("No loss yet: it appears with the first training steps, if this run trains.")
    elif record.state == "succeeded":
        st.caption("This run trained nothing, so there is no loss curve.")
    else:
        st.caption("There is no loss curve: the run has not trained.")
    if record.state == "succeeded":
        st.page_link(frame.COMPARE, label="See its scores", icon=":material/leaderboard:")


def _facts(record: RunRecord) -> None:
    """What the run says of its outcome, as far as it is a number."""
    summary = declared(frame.workspace().run_folder(record.run_id), "summary", {})
    found = [told for name, value in summary.items() if (told := fact(name, value)) is not None]
    if found:
        with st.container(horizontal=True, gap="medium"):
            for label, words in found:
                st.metric(label, words, width="content")


def _log(record: RunRecord) -> None:
    lines = read_log(frame.workspace().run_folder(record.run_id), last_lines=_LOG_LINES)
    if not lines:
        st.caption("The log is empty so far.")
        return
    st.code("\n".join(lines), language=None, height=320, wrap_lines=True)
    st.caption(f"The last {count(len(lines), 'line')}. All of it: python -m engine logs {record.run_id}")


def _parameters(record: RunRecord) -> None:
    """What was changed from the defaults; everything on request."""
    if record.spec is None:
        st.caption("The spec of this run cannot be read.")
        return
    spec = record.spec
    values = {**spec.parameters, **spec.protocol, "seed": spec.seed}
    changed = [name for name in spec.changed if name in values]
    everything = st.toggle(
        "Show all, not only what was changed", value=not spec.changed, key="runs_all_parameters"
    )
    if not spec.changed:
        st.caption("Everything is at its default.")
    names = list(values) if everything else changed
    if names:
        st.dataframe(
            pd.DataFrame(
                {
                    "Parameter": [name.replace("_", " ") for name in names],
                    "Value": [spelled(values[name]) for name in names],
                    "": ["changed" if name in spec.changed else "" for name in names],
                }
            ),
            hide_index=True,
            alt="Parameters of the run",
        )
    inherited = [name for name in spec.changed if name not in values]
    if inherited:
        st.caption(f"Changed in the runs it builds on: {', '.join(inherited)}")


def _origin(record: RunRecord) -> None:
    """What the run was made from, frozen at its launch."""
    spec = record.spec
    if spec is None:
        st.caption("The spec of this run cannot be read.")
        return
    rows = {
        "Data": f"sha256 {spec.data_hash[:16]}",
        "Base model": f"{spec.base} {spec.base_fingerprint}".strip(),
        "Builds on": ", ".join(f"{role}: {name}" for role, name in spec.upstream.items()) or "nothing",
        "Step": f"{spec.step}, version {spec.version}",
        "Seed": str(spec.seed),
        "Launched": spec.created_at,
        "Attempts": str(record.status.attempt),
        **{name.capitalize(): version for name, version in spec.versions.items()},
    }
    st.dataframe(
        pd.DataFrame({"What": list(rows), "Value": list(rows.values())}),
        hide_index=True,
        alt="Origin of the run: data, base model, versions",
    )


if __name__ == "__main__":
    frame.run(show)
