"""Who wins, by how much, is it more than noise, and for whom?"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from engine import views
from engine.comparing import looks
from engine.paths import Workspace
from engine.stats.metrics import METRICS, SIMILARITY, Metric
from engine.wording import MINUS, count, signed_points
from pages import examples, frame, judged, reads

_choice = partial(frame.linked_choice, page="compare")
_REFERENCE_HELP = "Every other variant is compared with this one, on the same examples."
_SPLITS = {"test": "Test", "val": "Validation"}
_ALL = "all"
_PROTOCOLS = {"one": "One", "all": "All, unjudged"}
_ROWS_SHOWN = 14


def show() -> None:
    ws = frame.workspace()
    frame.heading("Compare", "Who wins, by how much, is it more than noise, and for whom?")
    if not frame.is_prepared(ws):
        frame.no_data_yet()
        return
    protocols = reads.protocols(ws)
    if protocols.empty:
        frame.empty_state(
            "Nothing is scored yet",
            "A comparison needs two variants, scored on the same examples. The first run makes both.",
            page=frame.HOME,
            label="Run the first experiment",
            icon=":material/arrow_forward:",
        )
        return
    found, metric = _choices(ws, protocols)
    _remarks(ws, found)
    candidate = _candidate(found)
    _leaderboard(found, metric, candidate)
    if candidate is None:
        st.caption("Only the reference is scored so far; a comparison needs a second variant.")
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        _intervals(found, metric)
        if candidate in found["criteria"]:
            judged.criteria(found["criteria"][candidate], candidate, found["split"])
    with right:
        persona = _personas(ws, found, metric)
    if persona is not None:
        examples.show(ws, found, metric, candidate=candidate, persona_id=persona)


def _choices(ws: Workspace, protocols: pd.DataFrame) -> tuple[dict[str, Any], Metric]:
    """The controls, all of them in the address, and the comparison they ask for."""
    scored_on = [split for split in _SPLITS if (protocols["split"] == split).any()]
    columns = st.columns([3, 3, 3, 2], vertical_alignment="bottom")
    with columns[0]:
        metric = _choice("Metric", list(METRICS), name="metric", words=lambda name: METRICS[name].label)
    with columns[3]:
        split = _choice("Split", scored_on, name="split", words=lambda name: _SPLITS[name], segmented=True)
    metric, split = metric or SIMILARITY, split or scored_on[0]
    first = reads.compared(ws, metric=metric, split=split)["protocol"]
    protocol, across = _protocol(protocols[protocols["split"] == split], first)
    wanted = partial(reads.compared, ws, metric=metric, split=split, protocol=protocol)
    default = wanted()
    names = [row["variant"] for row in default["rows"] if not views.is_bound(row)]
    with columns[1]:
        reference = _choice("Reference", names, name="reference", help=_REFERENCE_HELP)
    if across or reference not in (None, default["reference"]):
        default = wanted(reference=reference, across_protocols=across)
    with columns[2]:
        found = _of_family(default)
    return found, METRICS[metric]


def _protocol(protocols: pd.DataFrame, first: str) -> tuple[str | None, bool]:
    """Where there are several protocols: which one, and whether the others' variants are shown beside it."""
    known = list(dict.fromkeys([first, *protocols["protocol"]]))
    if len(known) < 2:
        return None, False
    variants = dict(zip(protocols["protocol"], protocols["variants"], strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        protocol = _choice(
            "Protocol", known, name="protocol", help="The settings that scores share.",
            words=lambda name: f"{name}: {count(variants[name], 'variant')}",
        )  # fmt: skip
        shown = _choice(
            "Variants of", list(_PROTOCOLS), name="protocols", segmented=True,
            words=lambda name: _PROTOCOLS[name],
            help="Variants scored under other settings can be shown beside, with what differs; never judged.",
        )  # fmt: skip
    return protocol, shown == _ALL


def _of_family(found: dict[str, Any]) -> dict[str, Any]:
    """The comparison with the rows of one family only; Holm's correction stays over all."""
    families = sorted({row["family"] for row in found["rows"] if row["role"] != "reference"})
    family = _choice(
        "Family", [_ALL, *families], name="family", words=lambda name: "All" if name == _ALL else name
    )
    if family in (None, _ALL):
        return found
    rows = [row for row in found["rows"] if row["role"] == "reference" or row["family"] == family]
    return {**found, "rows": rows}


def _remarks(ws: Workspace, found: dict[str, Any]) -> None:
    """What a reader must know before believing a number."""
    personas = max(row["n_paired"] for row in found["rows"])
    seen = len(looks.seen(ws, found["protocol"]))  # by now: `found` may be from an earlier visit
    with st.container(horizontal=True, gap="small"):
        if any(row["small_sample"] for row in found["rows"]):
            st.badge(
                f"Small sample: {count(personas, 'persona')}",
                icon=":material/info:",
                color="orange",
                help="With fewer than 50 personas intervals are wide and small differences cannot be seen.",
            )
        if found["split"] == "val":
            st.badge(
                "Validation: for choosing, not for verdicts",
                icon=":material/info:",
                color="gray",
                help="Choices are made on validation, so its numbers flatter what was chosen.",
            )
        if found["split"] == "test" and seen:
            st.badge(
                f"Test seen {count(seen, 'time')}",
                icon=":material/visibility:",
                color="gray",
                help="Variants judged on test under this protocol; looking again at one does not count. The "
                "more there are, the likelier is a lucky winner: choose on validation.",
            )
        others = [other for other in found["others"] if other["variants"]]
        if others and not any(row["role"] == "other protocol" for row in found["rows"]):
            names = "; ".join(f"{', '.join(one['variants'])}: {one['words']}" for one in others)
            st.badge(
                f"{count(len(found['other_protocols']) + 1, 'protocol')}: only {found['protocol']} is shown",
                icon=":material/rule:",
                color="orange",
                help=frame.plain(f"Scored otherwise, and not in this table. {names}."),
            )
        uneven = [row for row in found["rows"] if row["n_only_candidate"] or row["n_only_reference"]]
        if uneven:
            names = ", ".join(row["variant"] for row in uneven)
            st.badge(
                "Not all examples are shared",
                icon=":material/warning:",
                color="orange",
                help=f"Compared on shared examples only: {names}.",
            )
    if found["warnings"]:
        lines = "\n".join(f"- {frame.plain(line)}" for line in found["warnings"])
        st.warning(f"Read these differences with care.\n\n{lines}", icon=":material/warning:")


def _leaderboard(found: dict[str, Any], metric: Metric, candidate: str | None) -> None:
    """Every variant, the reference first; the selected row is the variant looked at below."""
    table = views.leaderboard(
        found["rows"],
        reference=found["reference"],
        higher_is_better=metric.higher_is_better,
        in_points=metric.unit == "fraction",
    )
    table["personas"] = [_outcomes(row, found["reference"]) for row in found["rows"]]
    table["criterion"] = [_reached(found, name) for name in table["variant"]]
    shown = list(table["variant"])
    st.session_state["compare_shown"] = shown
    frame.select_row("compare_table", shown.index(candidate) if candidate in shown else None)
    st.markdown(
        f"**{metric.label}** of each variant against {frame.plain(found['reference'])}", help=metric.help
    )
    st.dataframe(
        frame.with_signs(table, "delta"),
        key="compare_table",
        hide_index=True,
        on_select=_choose_row,
        selection_mode="single-row",
        height="content" if len(table) <= _ROWS_SHOWN else "auto",
        placeholder="",
        alt=f"Leaderboard of {metric.label}; select a row to see its personas",
        column_order=_columns(metric),
        column_config=_column_config(metric),
    )


def _outcomes(row: dict[str, Any], reference: str) -> str:
    """How many personas are better, equal and worse, with a sign each."""
    return "" if row["variant"] == reference else f"+{row['wins']} ={row['ties']} {MINUS}{row['losses']}"


def _reached(found: dict[str, Any], variant: str) -> str:
    """The highest level of success that a variant reaches, and whether the gain itself is clear."""
    bands = found["criteria"].get(variant, ())
    best = next((band for band in reversed(bands) if band["met"]), None)
    if best is None:
        return ""
    return str(best["title"]) if judged.is_tested(best) else f"{best['title']}, by mean"


def _columns(metric: Metric) -> list[str]:
    columns = ["variant", "mean", "delta", "interval", "verdict", "p", "personas", "improved"]
    if metric.higher_is_better is None:
        return columns[:4]
    if metric.unit == "fraction":
        columns.append("lost")
    return [*columns, "criterion"] if metric.name == SIMILARITY else columns


def _column_config(metric: Metric) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    unit = ", points" if metric.unit == "fraction" else ""
    paired = "Paired t-test over personas, corrected for the number of variants."
    return {
        "variant": text("Variant", width="medium"),
        "mean": number(f"Mean{unit}", format="%.1f", help="Mean over personas of each one's own mean."),
        "delta": number("Difference"),
        "interval": text("95 % interval", help="Bootstrap over personas."),
        "verdict": text(
            "Verdict", help="Better or worse: the interval leaves out 0 and p (Holm) is under 0.05."
        ),
        "p": text("p (Holm)", help=paired),
        "personas": text("Personas", help="How many are better, equal and worse than under the reference."),
        "improved": number("Improved", format="%.0f %%", help="Share of personas that are better off."),
        "lost": number("Lost over 10", format="%d", help="Personas that lost more than 10 points."),
        "criterion": text(
            "Success", help="The highest level reached against unified. By mean: that level asks for no test."
        ),
    }


def _choose_row() -> None:
    rows = st.session_state["compare_table"]["selection"]["rows"]
    shown = st.session_state["compare_shown"]
    if rows and rows[0] < len(shown):
        frame.choose("compare", "candidate", shown[rows[0]])


def _intervals(found: dict[str, Any], metric: Metric) -> None:
    rows, reference = found["rows"], found["reference"]
    st.subheader("How sure?", anchor=False)
    st.altair_chart(
        views.interval_chart(
            rows,
            reference=reference,
            higher_is_better=metric.higher_is_better,
            in_points=metric.unit == "fraction",
            noise_floor=found["noise"]["floor"],
        ),
        key="compare_intervals",
        on_select=_choose_mark,
        alt=f"Difference of each variant to {reference} in {metric.label}, with intervals",
    )
    if any(views.is_bound(row) for row in rows):
        st.caption("Diamonds are bounds: what perfect knowledge would score. They never win.")
    judged.noise(found, metric)
    st.page_link(
        frame.STATISTICS, label="How often are these statistics right?", icon=":material/fact_check:"
    )


def _choose_mark() -> None:
    picked = st.session_state["compare_intervals"]["selection"].get(views.CHOSEN, [])
    if picked:
        frame.choose("compare", "candidate", picked[0]["variant"])


def _candidates(found: dict[str, Any]) -> list[str]:
    """Everything but the reference, best first and bounds last."""
    return [
        row["variant"]
        for row in found["rows"]
        if row["variant"] != found["reference"] and row["delta"] is not None
    ]


def _candidate(found: dict[str, Any]) -> str | None:
    """The variant looked at: chosen in the list, the table, the chart or the address; else the best."""
    names = _candidates(found)
    if not names:
        return None
    return frame.chosen("compare", "candidate", names) or names[0]


def _personas(ws: Workspace, found: dict[str, Any], metric: Metric) -> str | None:
    """Who gains and who loses; return the persona whose examples are asked for."""
    reference, in_points = found["reference"], metric.unit == "fraction"
    names = _candidates(found)
    st.subheader("For whom?", anchor=False)
    candidate = _choice("Variant", names, name="candidate") or names[0]
    row = next(one for one in found["rows"] if one["variant"] == candidate)
    judged.statistics(row, reference, metric)
    scores = _scores(ws, found, row, metric)
    table = views.persona_table(
        scores, candidate=candidate, reference=reference, higher_is_better=metric.higher_is_better
    )
    personas = list(table["persona_id"])
    st.altair_chart(
        views.persona_chart(
            table,
            candidate=candidate,
            reference=reference,
            in_points=in_points,
            chosen=frame.chosen("compare", "persona", personas),
        ),
        key="compare_bars",
        on_select=_choose_bar,
        alt=f"Each persona's difference between {candidate} and {reference}; select a bar for its examples",
    )
    return _choice(
        "Persona",
        personas,
        name="persona",
        words=lambda name: _persona_label(table, name, in_points=in_points),
        optional="Click a bar, or choose a persona, to read its examples",
    )


def _scores(ws: Workspace, found: dict[str, Any], row: dict[str, Any], metric: Metric) -> pd.DataFrame:
    """The scores of a variant and the reference, each under its own protocol, paired as the row says."""
    read = partial(reads.scores, ws, metric=metric.name, split=found["split"])
    scores = read(protocol=found["protocol"])
    if row["protocol"] == found["protocol"]:
        return scores
    other = read(protocol=row["protocol"])
    both = pd.concat(
        [
            scores[scores["variant"] == found["reference"]],
            other[other["variant"] == row["variant"]],
        ]
    )
    if row["paired_by"] == "example":
        return both
    means = both.groupby(["variant", "persona_id"], as_index=False)["value"].mean()
    return means.assign(example_id=means["persona_id"])


def _persona_label(table: pd.DataFrame, name: str, *, in_points: bool) -> str:
    row = table.loc[table["persona_id"] == name]
    if row.empty:
        return name
    factor = 1.0 if in_points else 0.01
    return f"{name}: {signed_points(float(row['difference'].iloc[0]) * factor)}, {row['outcome'].iloc[0]}"


def _choose_bar() -> None:
    picked = st.session_state["compare_bars"]["selection"].get(views.CHOSEN, [])
    if picked:
        frame.choose("compare", "persona", picked[0]["persona_id"])


if __name__ == "__main__":
    frame.run(show)
