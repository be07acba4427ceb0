"""One open run, or several beside each other.

How a run stands, what can be done with it, its curve, log, parameters and origin; of several the loss curves
in one chart, and only what differs between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import ago, count, duration, fact, interval, points, signed_points, spelled
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.runs import jobs, labels
from engine.runs.labels import Label
from engine.runs.records import RunRecord, scan
from engine.runs.runfolder import RESUMABLE, declared, read_events, read_log
from engine.show.charts.losses import (
    ALONG,
    OVERLAID,
    Along,
    loss_chart,
    loss_table,
    overlaid_chart,
    rate_chart,
    thinned,
    usage_chart,
)
from engine.show.curves import curve_table, smoothed, usage_table
from engine.show.run_words import (
    against_estimate,
    changed,
    changed_words,
    differences,
    origin,
    settings,
    side_by_side,
    state_words,
    title,
)
from engine.show.tables import written
from engine.strategies import reference, registry
from engine.strategies.budgets import own_budget
from engine.strategies.cloning import command_of
from engine.strategies.spec import PARTIAL
from pages.runs import keeping
from pages.runs import list as run_list
from pages.runs import reads as run_reads
from pages.runs.list import ACTIVE
from pages.runs.reads import Score
from pages.shared import downloads, frame, launch, seeds

_LOG_LINES = 200
_VIEWS = ("Progress", "Log", "Parameters", "Origin")


def show(ws: Workspace, record: RunRecord) -> None:
    """Show everything about a run, one view at a time."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            label = labels.of_run(ws, record.run_id)
            st.subheader(frame.plain(label.title or title(record, ws)), anchor=False, width="content")
            frame.state_badge(record.state)
        _lead(record, named=bool(label.title))
        _label(label)
        if record.state == "running":
            run_list.progress(record)
        if record.error and record.state != "succeeded":
            _why(record)
        _actions(ws, record)
        keeping.actions(ws, [record])
        chosen = st.segmented_control(
            "Show", _VIEWS, default=_VIEWS[0], required=True, key="runs_view", label_visibility="collapsed"
        )
        {"Log": _log, "Parameters": _parameters, "Origin": _origin}.get(chosen or "", _curve)(ws, record)


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
        st.caption(frame.hint(record.status.hint))


def _actions(ws: Workspace, record: RunRecord) -> None:
    """What the run allows, and beside it what each would do."""
    cancelled = resumed = over = False
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if record.state in ACTIVE:
            cancelled = frame.action("Cancel", icon=":material/stop_circle:", key="runs_cancel")
        if record.state in RESUMABLE or record.blocked:
            resumed = frame.action("Resume", icon=":material/resume:", key="runs_resume")
        if record.state in RESUMABLE and record.progress:
            over = frame.action(
                "Start over", icon=":material/restart_alt:", key="runs_over",
                help="From the beginning: what it had done so far is deleted.",
            )  # fmt: skip
        if query := launch.clone_query(record):
            st.page_link(
                frame.EXPERIMENTS, label="Clone and modify", icon=":material/content_copy:",
                query_params=query, help="Opens the form filled as this run was.",
            )  # fmt: skip
        if record.state == "succeeded":
            st.page_link(frame.COMPARE, label="See its scores", icon=":material/leaderboard:")
            _reference(ws, record)
            _repeat(ws, record)
        st.caption(frame.plain(_reason(record)))
    if cancelled:
        run_list.cancel(record.run_id)
    if resumed:
        jobs.resume(ws, record.run_id)
        st.rerun()
    if over:
        jobs.start_over(ws, record.run_id)
        st.rerun()


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
    ):
        reference.choose(ws, record.run_id)
        st.rerun()


def _repeat(ws: Workspace, record: RunRecord) -> None:
    """Offer the same from other seeds, for what was made on the reference's ground and for all personas."""
    spec = record.spec
    known = registry.experiments(ws).get(record.experiment)
    if spec is None or known is None or any(spec.parameters.get(name) is not None for name in PARTIAL):
        return
    if not (spec.upstream or known.traits.trains or reference.is_candidate(spec)):
        return  # nothing of it was trained
    if reference.ground_of(spec) in reference.references(ws):
        with st.popover("Repeat with seeds", icon=":material/casino:"):
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
        "lost": "Its process is gone. It goes on from its last checkpoint.",
        "succeeded": "",
    }[record.state]


def _curve(ws: Workspace, record: RunRecord) -> None:
    _facts(ws, record)
    folder = ws.run_folder(record.run_id)
    table, looks = loss_table(read_events(folder)), usage_table(folder)
    if not table.empty:
        share = _smoothing()
        told = f"Loss of {record.run_id} in training and validation by step"
        frame.chart(loss_chart(thinned(smoothed(table, share))), alt=told, key="runs_loss")
    _beside(record, table, looks)
    if not table.empty or not looks.empty:
        downloads.file(
            "Curves as CSV", lambda: written(curve_table(ws, [record.run_id]), "csv"),
            name=f"{record.run_id}-curves.csv", mime="text/csv", key="runs_curves_csv",
        )  # fmt: skip
    if not table.empty:
        return
    if record.state in ACTIVE:
        st.caption("No loss yet: it appears with the first training steps, if this run trains.")
    elif record.state == "succeeded":
        st.caption("This run trained nothing, so there is no loss curve.")
    else:
        st.caption("There is no loss curve: the run has not trained.")


def _smoothing() -> float:
    """How much of the past the training loss keeps; 0 shows what was measured."""
    share: float = st.slider(
        "Smoothing of the training loss", 0.0, 0.95, 0.0, 0.05, key="runs_smoothing", width=320,
        help="A running mean: so much of the past stays in each value. Validation is never smoothed.",
    )  # fmt: skip
    return share


def _beside(record: RunRecord, table: pd.DataFrame, looks: pd.DataFrame) -> None:
    """Learning rate, memory and processor, where they were told: runs of earlier versions have none."""
    drawn = []
    if table["learning_rate"].notna().any():
        drawn.append(("Learning rate by step", "runs_rate", rate_chart(thinned(table))))
    for field, what in (("memory_gb", "Memory"), ("processor", "Cores busy")):
        if len(looks) > 1 and looks[field].notna().any():
            drawn.append((f"{what} by time at work", f"runs_{field}", usage_chart(looks, field=field)))  # type: ignore[arg-type]
    for column, (told, key, chart) in zip(st.columns(len(drawn)) if drawn else (), drawn, strict=True):
        with column:
            frame.chart(chart, alt=f"{told}, {record.run_id}", key=key)


def _facts(ws: Workspace, record: RunRecord) -> None:
    """What the run says of its outcome, as far as it is a number."""
    summary = declared(ws.run_folder(record.run_id), "summary", {})
    found = [told for name, value in summary.items() if (told := fact(name, value)) is not None]
    if found:
        with st.container(horizontal=True, gap="medium"):
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
    st.code("\n".join(lines), language=None, height=320, wrap_lines=True)
    command = frame.plain(frame.command("logs", record.run_id))
    st.caption(f"The last {count(len(lines), 'line')}. All of it: {command}")
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
        frame.table(
            {
                "Parameter": [name.replace("_", " ") for name in names],
                "Value": [spelled(values[name]) for name in names],
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
    launch.show_command(command_of(spec, ws))


_CONFIGS = 12


def show_several(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    """Show the curves of the chosen runs over each other, then what differs, then how each went."""
    with st.container(border=True):
        st.subheader(count(len(chosen), "run") + " side by side", anchor=False)
        keeping.actions(ws, chosen)
        _curves(ws, chosen)
        _scores(ws, chosen)
        _outcomes(ws, chosen)
        _configs(chosen[:_CONFIGS])


def _scores(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    """What each brought on validation, and of two who is better served by which."""
    known = metrics.of_study(ws)
    metric = known.get(frame.chosen("runs", "metric", list(known)) or "", metrics.primary(ws))
    found = {
        one.run_id: score for one in chosen if (score := run_reads.scores(ws, metric.name).get(one.run_id))
    }
    st.markdown("**What they brought**")
    if not found:
        st.caption("None of them has scores on validation under the newest protocol.")
        return
    factor = 1.0 if metric.unit == "fraction" else 0.01
    rows = [
        {
            "Run": run_id,
            "Variant": one.variant + (f", best of {one.variants}" if one.variants > 1 else ""),
            metric.label: points(None if one.mean is None else factor * one.mean),
            "Difference": signed_points(None if one.delta is None else factor * one.delta),
            "95 % interval": ""
            if one.delta is None
            else interval(_times(one.low, factor), _times(one.high, factor)),
            "Against": "" if one.delta is None else one.reference,
            "Verdict": one.verdict,
        }
        for run_id, one in found.items()
    ]
    frame.table(rows, placeholder="", alt=f"{metric.label} of each run on validation")
    if len(found) == len(chosen) == 2 and metric.higher_is_better is not None:
        _sides(ws, metric, found)


def _sides(ws: Workspace, metric: Metric, found: Mapping[str, Score]) -> None:
    """Persona by persona, which of two runs serves her better; a click on a row opens her page."""
    first, second = (one.variant for one in found.values())
    names = {"first": first, "second": second, "equal": "equal"}
    if first == second:
        return
    table = run_reads.changed_sides(ws, metric.name, first, second)
    st.markdown("**Who changed sides**")
    if table.empty:
        st.caption("No persona is scored by both.")
        return
    counted = table["better"].value_counts()
    told = [
        f"{count(int(counted.get(side, 0)), 'persona')} better under {name}" for side, name in names.items()
    ]
    crossed = int(table["changed"].sum())
    st.caption(
        frame.plain(
            f"{', '.join(told[:2])}, {int(counted.get('equal', 0))} equal. {crossed} changed sides: better "
            "than the reference under one, worse under the other. On validation; no verdict."
        )
    )
    only = crossed > 0 and st.toggle("Only those who changed sides", key="runs_crossed")
    shown = (table[table["changed"]] if only else table).reset_index(drop=True)
    factor = 100 if metric.unit == "fraction" else 1
    key = f"runs_sides_{first}_{second}_{metric.name}_{len(shown)}"
    event = frame.table(
        pd.DataFrame(
            {
                "Persona": shown["persona_id"],
                "Better under": shown["better"].map(names),
                first: factor * shown["first"],
                second: factor * shown["second"],
                "Apart": factor * shown["apart"],
                "": ["changed sides" if one else "" for one in shown["changed"]],
            }
        ),
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        height="content" if len(shown) <= _CONFIGS else 420,
        column_config={
            name: st.column_config.NumberColumn(name, format="%+.1f" if factor == 100 else "%+.2f")
            for name in (first, second, "Apart")
        },
        alt=f"Personas by how far apart {first} and {second} are; select a row to open one",
    )
    st.caption(
        "Differences to what each is compared with, the farthest apart first. A row opens the persona."
    )
    if rows := event["selection"]["rows"]:
        frame.open_persona(str(shown["persona_id"].iloc[rows[0]]), second)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _curves(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    tables = {_name(record): loss_table(read_events(ws.run_folder(record.run_id))) for record in chosen[:24]}
    trained = {name: table for name, table in tables.items() if not table.empty}
    if not trained:
        st.caption("None of these runs has trained, so there are no loss curves.")
        return
    along: Along = st.segmented_control(
        "Along", list(ALONG), default="step", required=True, format_func=lambda one: ALONG[one],
        key="runs_along", label_visibility="collapsed",
    )  # fmt: skip
    share = _smoothing()
    shown = {name: smoothed(table, share) for name, table in list(trained.items())[:OVERLAID]}
    frame.chart(
        overlaid_chart(shown, along=along), alt=f"Loss of {count(len(shown), 'run')}", key="runs_losses"
    )
    told = "Full lines with signs: validation. Faint lines: training."
    if len(trained) > len(shown):
        told += f" The first {len(shown)} of {len(trained)} are drawn."
    without = [name for name in tables if name not in trained]
    if without:
        told += f" Without a curve: {', '.join(without)}."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(frame.plain(told), width="content")
        downloads.file(
            "Curves as CSV", lambda: written(curve_table(ws, [one.run_id for one in chosen]), "csv"),
            name="curves.csv", mime="text/csv", key="runs_curves_csv",
        )  # fmt: skip


def _outcomes(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    """How each run went: state, time beside the estimate, and the numbers it says of itself."""
    rows = []
    for record in chosen:
        summary = declared(ws.run_folder(record.run_id), "summary", {})
        told = dict(filter(None, (fact(name, value) for name, value in summary.items())))
        expected = record.spec.estimate_seconds if record.spec else None
        times = {"Took": duration(record.status.seconds or None), "Expected": duration(expected)}
        rows.append({"Run": record.run_id, "State": state_words(record), **times, **told})
    st.markdown("**How they went**")
    frame.table(rows, placeholder="", alt="State, time and outcome of each run")


def _configs(chosen: Sequence[RunRecord]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown("**What differs**", width="content")
        everything = st.toggle("Show what is the same, too", key="runs_same")
    rows = side_by_side(chosen) if everything else differences(chosen)
    if not rows:
        st.caption("Nothing: they were asked for in the same way.")
        return
    columns = {record.run_id: [values[at] for values in rows.values()] for at, record in enumerate(chosen)}
    frame.table(
        {"What": list(rows), **columns},
        alt="Parameters, data, base model and versions that differ between the runs",
    )


def _name(record: RunRecord) -> str:
    told = changed_words(record)
    return f"{record.run_id}: {told}" if told else record.run_id
