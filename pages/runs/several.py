"""Several runs beside each other: what each brought, who changed sides, curves in one chart, what differs."""

from collections.abc import Mapping, Sequence
from textwrap import shorten

import pandas as pd
import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import count, duration, fact
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.runs.records import RunRecord
from engine.runs.runfolder import declared, read_events
from engine.show.charts.losses import ALONG, OVERLAID, Along, loss_table, overlaid_chart
from engine.show.curves import curve_table, smoothed
from engine.show.run_words import changed_words, differences, side_by_side, state_words
from engine.show.tables import written
from pages.runs import keeping
from pages.runs import reads as run_reads
from pages.runs.curves import smoothing
from pages.runs.reads import Score
from pages.shared import downloads, frame, reads

_CONFIGS = 12
_NARROW = 34  # characters of a name in a telephone's legend


def show(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    """Show what the chosen runs brought, their curves over each other, how each went, and what differs."""
    with st.container(border=True):
        st.subheader(count(len(chosen), "run") + " side by side", anchor=False)
        keeping.actions(ws, chosen)
        _scores(ws, chosen)
        st.markdown("**How they learned**")
        _curves(ws, chosen)
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
    rows = [
        {
            "Run": run_id,
            "Variant": one.variant + (f", best of {one.variants}" if one.variants > 1 else ""),
            metric.label: metric.level(one.mean),
            "Difference": metric.change(one.delta),
            "95 % interval": "" if one.delta is None else metric.spread(one.low, one.high),
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
    sides = [
        f"{count(int(counted.get(side, 0)), 'persona')} better under {name}" for side, name in names.items()
    ]
    crossed = int(table["changed"].sum())
    st.caption(
        frame.plain(
            f"{', '.join(sides[:2])}, {int(counted.get('equal', 0))} equal. {crossed} changed sides: better "
            "than the reference under one, worse under the other. On validation; no verdict."
        )
    )
    only = crossed > 0 and st.toggle("Only those who changed sides", key="runs_crossed")
    shown = (table[table["changed"]] if only else table).reset_index(drop=True)
    factor = metric.factor
    key = f"runs_sides_{first}_{second}_{metric.name}_{len(shown)}"
    told = pd.DataFrame(
        {
            "Persona": [reads.called(ws, name) for name in shown["persona_id"]],
            "Better under": shown["better"].map(names),
            first: factor * shown["first"],
            second: factor * shown["second"],
            "Apart": factor * shown["apart"],
            "": ["changed sides" if one else "" for one in shown["changed"]],
        }
    )
    event = frame.table(
        frame.scored(told, metric, changes=(first, second, "Apart")),
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        height="content" if len(shown) <= _CONFIGS else 420,
        alt=f"Personas by how far apart {first} and {second} are; select a row to open one",
    )
    st.caption(
        "Differences to what each is compared with, the farthest apart first. A row opens the persona."
    )
    if rows := event["selection"]["rows"]:
        frame.open_persona(str(shown["persona_id"].iloc[rows[0]]), second)


def _curves(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    tables = {
        _name(record, chosen): loss_table(read_events(ws.run_folder(record.run_id))) for record in chosen[:24]
    }
    trained = {name: table for name, table in tables.items() if not table.empty}
    if not trained:
        st.caption("None of these runs has trained, so there are no loss curves.")
        return
    along: Along = st.segmented_control(
        "Along", list(ALONG), default="step", required=True, format_func=lambda one: ALONG[one],
        key="runs_along", label_visibility="collapsed",
    )  # fmt: skip
    share = smoothing()
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
        took, expected = record.status.seconds or None, record.estimate_seconds
        times = {"Took": duration(took), "Expected": duration(expected)}
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


def _name(record: RunRecord, chosen: Sequence[RunRecord]) -> str:
    """What a curve is called: its run and what tells that from the others, on a telephone as far as fits."""
    told = changed_words(record, chosen)
    name = f"{record.run_id}: {told}" if told else record.run_id
    return (
        shorten(name, max(_NARROW, len(record.run_id) + 3), placeholder=" …") if frame.is_narrow() else name
    )
