"""Who wins, by how much, is it more than noise, and for whom?"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from engine import views
from engine.paths import Workspace
from engine.stats.metrics import METRICS, SIMILARITY, Metric
from engine.types import Message
from engine.wording import count, interval, outcomes, p_value, points, signed_points
from pages import frame, reads

_choice = partial(frame.linked_choice, page="compare")
_REFERENCE_HELP = "Every other variant is compared with this one, on the same examples."
_SPLITS = {"test": "Test", "val": "Validation"}
_EXAMPLES_SHOWN, _ROWS_SHOWN = 10, 14


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
    _remarks(found)
    candidate = _candidate(found)
    _leaderboard(found, metric, candidate)
    if candidate is None:
        st.caption("Only the reference is scored so far; a comparison needs a second variant.")
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        _intervals(found, metric)
    with right:
        persona = _personas(ws, found, metric)
    if persona is not None:
        _examples(ws, found, metric, candidate=candidate, persona_id=persona)


def _choices(ws: Workspace, protocols: pd.DataFrame) -> tuple[dict[str, Any], Metric]:
    """The controls, all of them in the address, and the comparison they ask for."""
    scored_on = [split for split in _SPLITS if (protocols["split"] == split).any()]
    known = list(dict.fromkeys(protocols["protocol"]))
    columns = st.columns([3, 3, 2, 2] if len(known) > 1 else [3, 3, 2], vertical_alignment="bottom")
    with columns[0]:
        metric = _choice("Metric", list(METRICS), name="metric", words=lambda name: METRICS[name].label)
    with columns[2]:
        split = _choice("Split", scored_on, name="split", words=lambda name: _SPLITS[name], segmented=True)
    protocol = None
    if len(known) > 1:
        with columns[3]:
            protocol = _choice("Protocol", known, name="protocol")
    metric, split = metric or SIMILARITY, split or scored_on[0]
    default = reads.compared(ws, metric=metric, split=split, protocol=protocol)
    names = [row["variant"] for row in default["rows"] if not views.is_bound(row)]
    with columns[1]:
        reference = _choice("Reference", names, name="reference", help=_REFERENCE_HELP)
    if reference in (None, default["reference"]):
        return default, METRICS[metric]
    found = reads.compared(ws, metric=metric, split=split, reference=reference, protocol=protocol)
    return found, METRICS[metric]


def _remarks(found: dict[str, Any]) -> None:
    """What a reader must know before believing a number."""
    personas = max(row["n_paired"] for row in found["rows"])
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
        if found["other_protocols"]:
            st.badge(
                f"{count(len(found['other_protocols']) + 1, 'protocol')}: only {found['protocol']} is shown",
                icon=":material/rule:",
                color="orange",
                help="Scores made under different settings are never put into one table.",
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


def _leaderboard(found: dict[str, Any], metric: Metric, candidate: str | None) -> None:
    """Every variant, the reference first; the selected row is the variant looked at below."""
    table = views.leaderboard(
        found["rows"],
        reference=found["reference"],
        higher_is_better=metric.higher_is_better,
        in_points=metric.unit == "fraction",
    )
    shown = list(table["variant"])
    st.session_state["compare_shown"] = shown
    frame.select_row("compare_table", shown.index(candidate) if candidate in shown else None)
    st.markdown(
        f"**{metric.label}** of each variant against {frame.plain(found['reference'])}", help=metric.help
    )
    st.dataframe(
        table,
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


def _columns(metric: Metric) -> list[str]:
    columns = ["variant", "mean", "delta", "interval", "verdict", "p", "wins", "ties", "losses", "improved"]
    return columns if metric.higher_is_better is not None else columns[:4]


def _column_config(metric: Metric) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    unit = ", points" if metric.unit == "fraction" else ""
    paired = "Paired t-test over personas, corrected for the number of variants."
    return {
        "variant": text("Variant", width="medium"),
        "mean": number(f"Mean{unit}", format="%.1f", help="Mean over personas of each one's own mean."),
        "delta": number("Difference", format="%+.1f"),
        "interval": text("95 % interval", help="Bootstrap over personas."),
        "verdict": text("Verdict", help="Better or worse when the interval leaves out 0."),
        "p": text("p (Holm)", help=paired),
        "wins": number("Better", help="Personas with a better mean than under the reference."),
        "ties": number("Equal"),
        "losses": number("Worse"),
        "improved": number("Improved", format="%.0f %%", help="Share of personas that are better off."),
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
        ),
        key="compare_intervals",
        on_select=_choose_mark,
        alt=f"Difference of each variant to {reference} in {metric.label}, with intervals",
    )
    if any(views.is_bound(row) for row in rows):
        st.caption("Diamonds are bounds: what perfect knowledge would score. They never win.")


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
    _sentence(row, reference, in_points=in_points)
    scores = reads.scores(ws, metric=metric.name, split=found["split"], protocol=found["protocol"])
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


def _sentence(row: dict[str, Any], reference: str, *, in_points: bool) -> None:
    if row["delta"] is None:
        st.caption(row["reason"] or "There is no comparison.")
        return
    unit = " points" if in_points else ""
    factor = 1.0 if in_points else 0.01
    low, high = row["ci_low"], row["ci_high"]
    told = "" if low is None or high is None else f" (95 % interval {interval(low * factor, high * factor)})"
    harm = (
        f" {count(row['catastrophic'], 'persona')} lost more than 10 points."
        if in_points and row["catastrophic"]
        else ""
    )
    test = "" if row["p"] is None else f" Paired t-test: p {_equals(p_value(row['p']))}."
    st.markdown(
        f"**{signed_points(row['delta'] * factor)}{unit}** over {frame.plain(reference)}{told}. "
        f"Personas: {outcomes(row['wins'], row['ties'], row['losses'])}.{harm}{test}"
    )  # fmt: skip
    if row["reason"]:
        st.caption(row["reason"])


def _equals(words: str) -> str:
    return words if words.startswith("<") else f"= {words}"


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


def _examples(
    ws: Workspace, found: dict[str, Any], metric: Metric, *, candidate: str, persona_id: str
) -> None:
    """What was asked, what the right reply was, and what both variants said."""
    rows = reads.example_rows(ws, persona_id=persona_id, split=found["split"], protocol=found["protocol"])
    said = {
        name: rows[rows["variant"] == name].set_index("example_id")
        for name in (found["reference"], candidate)
    }
    shared = _largest_first(said[candidate][metric.name], said[found["reference"]][metric.name])
    dialogues = {dialogue.dialogue_id: dialogue for dialogue in reads.dialogues_of(ws, persona_id)}
    st.caption(
        f"{count(len(shared), 'example')} of {persona_id}, the largest difference first"
        + (f"; {_EXAMPLES_SHOWN} are shown" if len(shared) > _EXAMPLES_SHOWN else "")
    )
    for example_id in shared[:_EXAMPLES_SHOWN]:
        row = said[candidate].loc[example_id]
        dialogue = dialogues.get(row["dialogue_id"])
        with st.container(border=True):
            st.caption(f"Dialogue {row['dialogue_id'].rsplit('/', 1)[-1]}, turn {row['turn']}")
            if dialogue is not None:
                _asked(dialogue.messages[: int(row["turn"])])
            for column, title, text, value in zip(
                st.columns(3, gap="medium"),
                ("Right reply", found["reference"], candidate),
                (row["reference"], *(said[name].loc[example_id]["reply"] for name in said)),
                (None, *(said[name].loc[example_id][metric.name] for name in said)),
                strict=True,
            ):
                with column:
                    st.markdown(f"**{frame.plain(title)}**{_value(value, metric)}")
                    st.markdown(frame.plain(text) or "*an empty reply*")


def _largest_first(candidate: pd.Series, reference: pd.Series) -> list[str]:
    """The examples both have, by the size of their difference; undefined ones last."""
    difference = (candidate - reference.reindex(candidate.index)).abs()
    shared = difference[difference.index.isin(reference.index)]
    return [str(one) for one in shared.sort_values(ascending=False, kind="stable", na_position="last").index]


def _asked(context: tuple[Message, ...]) -> None:
    for message in context[-1:]:
        st.markdown(f":gray[User:] {frame.plain(message.text)}")
    if len(context) > 1:
        with st.expander(f"{count(len(context) - 1, 'message')} before"):
            for message in context[:-1]:
                st.markdown(f":gray[{message.role.capitalize()}:] {frame.plain(message.text)}")


def _value(value: float | None, metric: Metric) -> str:
    if value is None:
        return ""
    if pd.isna(value):
        return " :gray[undefined]"
    return f" :gray[{points(value) if metric.unit == 'fraction' else f'{value:.2f}'}]"


if __name__ == "__main__":
    frame.run(show)
