"""Where does the study stand, and what should be run next?"""

from __future__ import annotations

import streamlit as st

from engine import jobs, study, views
from engine.data import prepare
from engine.errors import EngineError
from engine.paths import Workspace
from engine.records import RunRecord
from engine.wording import ago, count, duration, interval, outcomes, p_value, points, signed_points, stage
from pages import frame, launch, reads

_METRIC, _SPLIT = "embedding_similarity", "test"
_FIRST_PERSONAS = 20
_RECENT = 5


def show() -> None:
    ws = frame.workspace()
    if not frame.is_prepared(ws):
        _first_visit(ws)
        return
    frame.heading("Study", "Which way of personalising beats one unified model, and for whom?")
    _facts(ws)
    records = jobs.list_runs(ws)
    left, right = st.columns([3, 2], gap="medium")
    if reads.protocols(ws).empty:
        left, right = right, left
    with left:
        _standing(ws)
    with right:
        _next(ws, active=any(record.state in ("queued", "running") for record in records))
        _recent(records)
    with st.expander("Run another experiment", icon=":material/tune:"):
        launch.experiment_form(ws, key="home")


def _first_visit(ws: Workspace) -> None:
    frame.heading("Persona Lab", "Which way of personalising a small language model really helps, and whom?")
    st.space("small")
    with st.container(border=True, gap="small", width=760):
        st.subheader("Start with a small world", anchor=False)
        st.markdown(
            f"{_FIRST_PERSONAS} synthetic households talk to their smart homes. Each has its habits and its "
            "tone, and the best possible score is known. It takes seconds and runs on this machine."
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            clicked = st.button(
                f"Prepare {_FIRST_PERSONAS} personas",
                type="primary",
                icon=":material/play_arrow:",
                key="home_prepare",
            )
            st.page_link(frame.DATA, label="Bring my own data", icon=":material/upload:")
        if clicked:
            _prepare(ws)
    st.space("small")
    for column, (icon, title, text) in zip(st.columns(3, gap="medium"), _HOW, strict=True):
        with column:
            st.markdown(f"{icon} **{title}**")
            st.caption(text)


_HOW = (
    (
        ":material/forum:",
        "Prepare data",
        "Personas, their dialogues, and a split that keeps test answers unseen.",
    ),
    (
        ":material/model_training:",
        "Run experiments",
        "Each runs in the background and goes on when this page is closed.",
    ),
    (
        ":material/leaderboard:",
        "See who wins",
        "Every variant on the same examples: paired, with intervals, and for each persona.",
    ),
)


def _prepare(ws: Workspace) -> None:
    with st.spinner("Writing the households, their dialogues and the split ..."):
        prepare(ws, dataset="world:default", personas=_FIRST_PERSONAS)
    st.rerun()


def _facts(ws: Workspace) -> None:
    counts, config = reads.card(ws)["counts"], ws.read_config()
    scored = [variant for variant in reads.variants(ws) if variant.family != "ceiling"]
    with st.container(horizontal=True, gap="medium"):
        st.metric("Personas", f"{counts['personas']:,}", width="content")
        st.metric("Dialogues", f"{counts['dialogues']:,}", width="content")
        st.metric("Test examples", f"{counts['examples_by_split']['test']:,}", width="content")
        st.metric("Variants scored", f"{len(scored):,}", width="content")
    by = "by time" if config["split"] == "by-time" else "by persona"
    source, base = str(config["dataset"]["source"]), str(config["base"]).rsplit("/", 1)[-1]
    st.caption(f"Data {frame.plain(source)}, split {by}, base model {frame.plain(base)}")


def _standing(ws: Workspace) -> None:
    """The best variant and its margin, with the interval of every other below."""
    with st.container(border=True):
        try:
            found = reads.compared(ws, metric=_METRIC, split=_SPLIT)
        except EngineError:
            found = None
        if found is None:
            st.subheader("Nothing is scored yet", anchor=False)
            st.markdown(
                "The first verdict needs two variants: the base model as it is, and one adapter trained on "
                "everybody. The next step runs both."
            )
            return
        rows, reference = found["rows"], found["reference"]
        leader = views.best(rows, reference=reference)
        if leader is None:
            only = next(row for row in rows if row["variant"] == reference)
            st.subheader(f"Only {frame.plain(reference)} is scored", anchor=False)
            st.markdown(f"Its mean embedding similarity is **{points(only['mean'])} points**.")
            return
        _verdict(leader, reference)
        st.altair_chart(
            views.interval_chart(rows, reference=reference),
            alt=f"Difference of each variant to {reference} in embedding similarity, with intervals",
        )
        st.page_link(frame.COMPARE, label="Compare variants and personas", icon=":material/leaderboard:")


def _verdict(leader: views.Row, reference: str) -> None:
    word, name = views.verdict(leader), frame.plain(leader["variant"])
    title = {
        views.BETTER: f"{name} beats {frame.plain(reference)}",
        views.WORSE: f"Nothing beats {frame.plain(reference)} yet",
        views.UNCLEAR: f"No clear winner over {frame.plain(reference)} yet",
    }.get(word, f"{name} equals {frame.plain(reference)}")
    st.subheader(title, anchor=False)
    st.metric(
        f"{leader['variant']}, embedding similarity against {reference}",
        f"{signed_points(leader['delta'])} points",
    )
    told = [f"95 % interval {interval(leader['ci_low'], leader['ci_high'])}"]
    if leader["p_holm"] is not None:
        told.append(f"p {_equals(p_value(leader['p_holm']))} after Holm's correction")
    personas = outcomes(leader["wins"], leader["ties"], leader["losses"])
    st.caption(f"{'; '.join(told)}. Personas: {personas}.")
    if leader["small_sample"]:
        st.badge(
            f"Small sample: {count(leader['n_paired'], 'persona')}", icon=":material/info:", color="gray"
        )


def _equals(words: str) -> str:
    return words if words.startswith("<") else f"= {words}"


def _next(ws: Workspace, *, active: bool) -> None:
    """The one step that stands out; what runs already comes before it."""
    step = study.next_step(study.steps(ws))
    with st.container(border=True):
        if active:
            _running()
        if step is None:
            if not active:
                st.subheader("The first steps are done", anchor=False)
                st.markdown("Look at who wins, change parameters below, or bring more personas.")
            return
        st.caption("Next step")
        st.subheader(step.experiment.title, anchor=False)
        st.markdown(step.experiment.question)
        if step.state is not None:
            st.badge(f"Earlier run: {step.state}", icon=frame.STATE_ICONS[step.state], color="orange")
        launch.show_plan(ws, step.experiment, {}, key="home_next", prominent=not active)


@st.fragment(run_every=1.0)
@frame.guarded
def _running() -> None:
    """The run at work now; when the set of active runs changes, the whole page is drawn anew."""
    ws = frame.workspace()
    active = [record for record in jobs.list_runs(ws) if record.state in ("queued", "running")]
    signature = [(record.run_id, record.state) for record in active]
    if st.session_state.setdefault("home_active", signature) != signature:
        st.session_state["home_active"] = signature
        st.rerun()  # once: the rest of the page shows results, too
    for record in active:
        if record.state == "running":
            _progress(record)
    queued = sum(record.state == "queued" for record in active)
    if queued:
        st.caption(f"{count(queued, 'run')} waiting in the queue")


def _progress(record: RunRecord) -> None:
    status = record.status
    st.page_link(
        frame.RUNS,
        label=f"Running: {record.run_id}",
        icon=frame.STATE_ICONS["running"],
        query_params={"run": record.run_id},
    )
    left = f", {duration(status.eta_seconds)} left" if status.eta_seconds is not None else ""
    where = frame.plain(stage(status.stage, status.done, status.total, status.unit))
    st.progress(record.progress, text=f"{record.progress:.0%}, {where}{left}")


def _recent(records: list[RunRecord]) -> None:
    if not records:
        return
    st.subheader("Recent runs", anchor=False)
    for record in sorted(records, key=lambda one: one.order, reverse=True)[:_RECENT]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.page_link(frame.RUNS, label=record.run_id, query_params={"run": record.run_id}, width=210)
            frame.state_badge(record.state)
            when = record.status.ended_at or record.status.started_at or record.status.queued_at
            st.caption(ago(when), width="content")
    st.page_link(frame.RUNS, label="All runs", icon=":material/timeline:")


if __name__ == "__main__":
    frame.run(show)
