"""One open run: how it stands, what can be done with it, its numbers, log, parameters and origin."""

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import ago, count, fact
from engine.runs import jobs, labels
from engine.runs.labels import Label
from engine.runs.records import RunRecord, scan
from engine.runs.runfolder import RESUMABLE, declared, read_log
from engine.show.run_words import against_estimate, changed, origin, settings, title, worded
from engine.strategies import reference, registry
from engine.strategies.budgets import own_budget
from engine.strategies.cloning import command_of
from engine.strategies.spec import is_partial
from pages.runs import curves, keeping
from pages.runs import queue as run_queue
from pages.runs import reads as run_reads
from pages.runs.queue import ACTIVE
from pages.shared import downloads, frame, launch, seeds

_LOG_LINES, _FEW_LINES = 200, 8
_VIEWS = ("Progress", "Log", "Parameters", "Origin")


def show(ws: Workspace, record: RunRecord) -> None:
    """Show everything about a run, one view at a time."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            label = run_reads.labelled(ws).get(record.run_id, labels.NONE)
            st.subheader(frame.plain(label.title or title(record, ws)), anchor=False, width="content")
            frame.state_badge(record.state)
        _lead(record, named=bool(label.title))
        _label(label)
        if record.state == "running":
            run_queue.progress(record)
        if record.error and record.state != "succeeded":
            _why(record)
        _actions(ws, record)
        keeping.actions(ws, [record])
        chosen = st.segmented_control(
            "Show", _VIEWS, default=_VIEWS[0], required=True, key="runs_view", label_visibility="collapsed"
        )
        {"Log": _log, "Parameters": _parameters, "Origin": _origin}.get(chosen or "", _progress)(ws, record)


def _lead(record: RunRecord, *, named: bool) -> None:
    known = registry.experiments(frame.workspace()).get(record.experiment)
    if known:
        st.markdown(known.question)
    told = [f"Run {record.run_id}", title(record, frame.workspace()) if named else ""]
    told.append(against_estimate(record))
    if record.state == "running" and record.status.device:
        told.append(f"on {record.status.device}")
    if record.ended:
        told.append(f"ended {ago(record.status.ended_at)}")
    st.caption(frame.plain(", ".join(part for part in told if part)))
    if record.spec and record.spec.cloned_from:
        parent = record.spec.cloned_from
        frame.run_link(parent, f"Cloned from {parent}", icon=":material/content_copy:")


def _label(label: Label) -> None:
    """What people said of the run."""
    if label.tags:
        with st.container(horizontal=True, gap="xsmall"):
            for tag in label.tags:
                st.badge(frame.plain(tag), icon=":material/sell:", color="gray")
    if label.note:
        st.markdown(frame.plain(label.note))


def _why(record: RunRecord) -> None:
    tell = st.error if record.state == "failed" else st.warning
    tell(frame.plain(record.error or ""), icon=frame.STATE_ICONS[record.state])
    if record.status.hint and record.state == "failed":  # of the others, the button beside it says the same
        frame.remedy(record.status.hint)


def _actions(ws: Workspace, record: RunRecord) -> None:
    """What the run allows, and beside it what each would do."""
    cancelled = resumed = over = False
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if record.state in ACTIVE:
            cancelled = frame.action(
                "Cancel",
                icon=":material/stop_circle:",
                key="runs_cancel",
                command=frame.command("cancel", record.run_id),
            )
        if record.state in RESUMABLE or record.blocked:
            resumed = frame.action(
                "Resume",
                icon=":material/resume:",
                key="runs_resume",
                command=frame.command("resume", record.run_id),
            )
        if record.state in RESUMABLE and record.progress:
            over = frame.action(
                "Start over", icon=":material/restart_alt:", key="runs_over",
                help="From the beginning: what it had done so far is deleted.",
                command=frame.command("start-over", record.run_id),
            )  # fmt: skip
        if query := launch.clone_query(record):
            st.page_link(
                frame.EXPERIMENTS, label="Clone and modify", icon=":material/content_copy:",
                query_params=query, help="Opens the form filled as this run was.",
            )  # fmt: skip
        if record.state == "succeeded":
            st.page_link(
                frame.COMPARE, label="See its scores", icon=":material/leaderboard:",
                query_params=_published(ws, record),
            )  # fmt: skip
            with frame.boundary():
                _reference(ws, record)
                _repeat(ws, record)
        st.caption(frame.plain(_reason(record)))
    if cancelled:
        run_queue.cancel(record.run_id)
    if resumed:
        jobs.resume(ws, record.run_id)
        st.rerun()
    if over:
        jobs.start_over(ws, record.run_id)
        st.rerun()


def _published(ws: Workspace, record: RunRecord) -> dict[str, str]:
    """Where the scores of an imported study stand: Compare shows those that were made here first."""
    protocols = declared(ws.run_folder(record.run_id), "protocols", {}).items()
    found = [(name, fields["splits"][0]) for name, fields in protocols if fields.get("imported")]
    return {"protocol": found[0][0], "split": found[0][1]} if found else {}


def _reference(ws: Workspace, record: RunRecord) -> None:
    """Say that a run is the reference, or let it become that; nothing of a run that cannot be it."""
    if record.spec is None or not reference.is_candidate(record.spec):
        return
    chosen = reference.references(ws).get(reference.ground_of(record.spec))
    if chosen is not None and chosen.run_id == record.run_id:
        st.badge(
            "The reference",
            icon=":material/flag:",
            color="blue",
            help="What all variants are compared with and built on. No newer run takes its place by itself.",
        )
    elif frame.action(
        "Make it the reference",
        icon=":material/flag:",
        key="runs_reference",
        help="All is then compared with it, and new runs are built on it. What is built on another unified "
        "stays compared with that one.",
        command=frame.command("reference", record.run_id),
    ):
        reference.choose(ws, record.run_id)
        st.rerun()


def _repeat(ws: Workspace, record: RunRecord) -> None:
    """Offer the same from other seeds, for what was made on the reference's ground and for all personas."""
    spec = record.spec
    known = registry.experiments(ws).get(record.experiment)
    if spec is None or known is None or is_partial(spec):
        return
    if not (spec.upstream or known.traits.trains or reference.is_candidate(spec)):
        return  # nothing of it was trained
    if reference.ground_of(spec) in reference.references(ws):
        place = st.popover("Repeat with seeds", icon=":material/casino:", key="runs_seeds", on_change="rerun")
        if place.open:
            with place:
                seeds.repeat(ws, [record.run_id], key="runs_repeat")


def _reason(record: RunRecord) -> str:
    if record.blocked:
        return (
            f"It waits for {', '.join(record.waiting_for)}, which ended without success. Resume queues both."
        )
    if record.elsewhere:
        return "It cannot run here." if record.error else "It starts only once you start it here, above."
    return {
        "queued": "It is waiting for its turn; it starts by itself.",
        "running": "Cancel asks for a checkpoint first, so that it can go on later.",
        "failed": "It goes on from its last checkpoint, if it has one.",
        "cancelled": "It goes on from its last checkpoint.",
        "lost": "It goes on from its last checkpoint, if it has one.",
        "succeeded": "",
    }[record.state]


def _progress(ws: Workspace, record: RunRecord) -> None:
    with frame.boundary():
        _facts(ws, record)
    curves.show(ws, record)


def _facts(ws: Workspace, record: RunRecord) -> None:
    """What the run says of its outcome, as far as it is a number."""
    summary = declared(ws.run_folder(record.run_id), "summary", {})
    found = [told for name, value in summary.items() if (told := fact(name, value)) is not None]
    if found:
        with st.container(horizontal=True, gap="medium", key="facts_run"):
            for label, words in found:
                st.metric(frame.plain(label), frame.plain(words), width="content")
    if warning := own_budget(ws, record.run_id).warning:
        st.warning(
            f"Perhaps trained too little: {warning}. Clone it with more epochs.",
            icon=":material/trending_down:",
        )


def _log(ws: Workspace, record: RunRecord) -> None:
    lines = read_log(ws.run_folder(record.run_id), last_lines=_LOG_LINES)
    if not lines:
        st.caption("The log is empty so far.")
        return
    st.code(
        "\n".join(lines),
        language=None,
        height="content" if len(lines) <= _FEW_LINES else 320,
        wrap_lines=True,
    )
    st.caption(f"The last {count(len(lines), 'line')}. All of it:")
    frame.show_command(frame.command("logs", record.run_id))
    downloads.file(
        "Whole log", lambda: "\n".join(read_log(ws.run_folder(record.run_id))) + "\n",
        name=f"{record.run_id}.log.txt", mime="text/plain", key="runs_log_file",
    )  # fmt: skip


def _parameters(_: Workspace, record: RunRecord) -> None:
    """What was changed from the defaults; everything on request."""
    spec = record.spec
    if spec is None:
        st.caption("The spec of this run cannot be read.")
        return
    values, own = settings(spec), changed(spec)
    everything = st.toggle("Show all, not only what was changed", value=not own, key="runs_all_parameters")
    if not spec.changed:
        st.caption("Everything is at its default.")
    names = list(values) if everything else list(own)
    if names:
        words = [worded(name, values[name]) for name in names]
        frame.table(
            {
                "Parameter": [name for name, _ in words],
                "Value": [value for _, value in words],
                "": ["changed" if name in own else "" for name in names],
            },
            alt="Parameters of the run",
        )
    inherited = [name for name in spec.changed if name not in values]
    if inherited:
        st.caption(frame.plain(f"Changed in the runs it builds on: {', '.join(inherited)}"))


def _origin(ws: Workspace, record: RunRecord) -> None:
    """What the run was made from, frozen at its launch, and the command that asks for it again."""
    spec = record.spec
    if spec is None:
        st.caption("The spec of this run cannot be read.")
        return
    if spec.upstream:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("Builds on", width="content")
            for role, run_id in spec.upstream.items():
                frame.run_link(run_id, f"{role}: {run_id}", icon=":material/account_tree:")
    clones = [one.run_id for one in scan(ws) if one.spec and one.spec.cloned_from == record.run_id]
    if clones:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("Cloned as", width="content")
            for run_id in clones:
                frame.run_link(run_id, icon=":material/content_copy:")
    rows = {**origin(spec), "Attempts": str(record.status.attempt), "Launched with": record.status.launcher}
    frame.table(
        {"What": list(rows), "Value": list(rows.values())},
        alt="Origin of the run: data, base model, versions",
    )
    st.caption("The same run from a terminal:")
    frame.show_command(command_of(spec, ws))
