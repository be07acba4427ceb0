"""One variant's statistics and its success criteria, as the Compare page shows them. Computes nothing."""

from collections.abc import Sequence

import streamlit as st

from engine.core.types import Row
from engine.core.wording import (
    count,
    interval,
    known,
    outcomes,
    p_value,
    percent,
    percents,
    points,
    signed_points,
)
from engine.domains.metric import Metric
from engine.show.for_whom import for_whom
from engine.show.training_words import noise_words, training_lines
from engine.stats.co_primary import beside_words
from engine.stats.levels import ALPHA, LOST, POINT
from engine.stats.verdicts import BETTER, EQUAL, UNCLEAR, WORSE, judging_p, verdict, why
from pages.shared import frame

_MARKS = {
    True: (":green[:material/check_circle:]", "reached"),
    False: (":gray[:material/radio_button_unchecked:]", "missed"),
    None: (":gray[:material/help:]", "open"),
}


def statistics(row: Row, reference: str, metric: Metric, *, brief: bool = False) -> None:
    """Show one variant against the reference: size, certainty, for how many, and how many it harms.

    `brief` leaves out the tests.
    """
    if row["delta"] is None:
        st.caption(frame.plain(row["reason"] or "There is no comparison."))
        return
    unit = metric.unit_words
    told = f" (95 % interval {_span(row, metric)})" if known(row["ci_low"]) else ""
    word = verdict(row, higher_is_better=metric.higher_is_better)
    judged = "" if row.get("role") else f": **{word}**"
    st.markdown(
        f"**{metric.change(row['delta'])}{unit}** against "
        f"{frame.plain(row.get('built_on') or reference)}{told}{judged}."
    )
    reason = why(row, higher_is_better=metric.higher_is_better, in_points=metric.in_points)
    if reason:
        st.caption(frame.plain(f"{reason[:1].upper()}{reason[1:]}.").replace("..", "."))
    if (second := row.get("co_primary")) and (words := beside_words(second)) != reason:
        st.caption(frame.plain(f"Beside it: {words}."))
    with st.container(horizontal=True, gap="medium", key="facts_judged"):
        _improved(row)
        if metric.in_points:
            lost = f"Personas that {LOST} against the reference."
            _number("Lost over 10 points", str(row["catastrophic"]), lost)
        smallest = row["min_detectable_effect"]
        if smallest and (smallest <= 1 or not metric.in_points):
            found = "A true difference of this size gets a verdict in four of five studies like this one."
            _number("Detectable", f"{metric.size(smallest)}{metric.unit_words}", found)
        limit = row["noise_limit"]
        if limit is not None:
            seen = f"{metric.size(row['noise_floor'])}{metric.unit_words}"
            whose = f"this mean of {count(row['seeds']['n'], 'seed')}" if row["seeds"] else "a difference"
            made = (
                f"Seeds were seen to differ by up to {seen}. Going by so few, other seeds may move {whose} "
                "by as much as this by chance alone; more seeds narrow it."
            )
            _number("Noise of training", f"± {metric.size(limit)}{metric.unit_words}", made)
    outcome = f"Personas: {outcomes(row['wins'], row['ties'], row['losses'])}."
    st.caption(f"{outcome} {for_whom(row, metric)}".rstrip())
    if brief:
        return
    with st.expander("Tests and training", icon=":material/function:"):
        st.caption(_tests(row))
        for line in training_lines(row, difference=metric.change):
            st.caption(frame.plain(line))


def _improved(row: Row) -> None:
    """The share that truly gains where examples tell it from luck; the raw count stands beside."""
    seen = percents(row["share_low"], row["share_high"])
    raw = f"{percent(row['share_improved'])} look better (95 % interval {seen}, Wilson's)."
    if row["true_share"] is None:
        _number("Improved", percent(row["share_improved"]), raw)
        return
    truly = percents(row["true_share_low"], row["true_share_high"])
    told = f"Truly gain, with the luck of few examples taken out; 95 % interval {truly}. {raw}"
    _number("Improved", percent(row["true_share"]), told)


def _number(label: str, value: str, help: str) -> None:
    st.metric(label, value, help=help, width="content")


def _tests(row: Row) -> str:
    if row["p"] is None:
        return "No test."
    used = judging_p(row, family=row["family_size"] or 1)
    strict = f", strictest {p_value(used)}" if used != row["p"] else ""
    corrected = f", after Holm's correction {p_value(row['p_holm'])}" if row["p_holm"] is not None else ""
    over = f"{count(row['n_clusters'], 'cluster')}, " if row["n_clusters"] else ""
    over += f"{count(row['n_paired'], 'persona')}, {count(row['n_examples'], 'example')}"
    return (
        f"p by paired t-test {p_value(row['p'])}{strict}{corrected}; Wilcoxon "
        f"{p_value(row['p_wilcoxon'])}; sign test {p_value(row['p_sign'])}. Interval: "
        f"{row['ci_kind'] or 'none'} over {over}."
    )


def criteria(bands: Sequence[Row], variant: str, split: str) -> None:
    """Show the highest level of success that is reached and what the next one lacks; all on a click."""
    st.subheader("Is it a success?", anchor=False)
    best = next((band for band in reversed(bands) if band["met"]), None)
    where = "test" if split == "test" else "validation: a hope, no verdict"
    reached = f"{best['title']} reached" if best else "No level reached"
    st.markdown(f"**{frame.plain(reached)}** by {frame.plain(variant)} on {where}.")
    if (wanted := next((band for band in bands if not band["met"]), None)) is not None:
        st.caption(frame.plain(f"{wanted['title']} lacks: {wanted['missing'][0]}."))
    with st.expander("All levels", icon=":material/stairs:"):
        for band in bands:
            mark, word = _MARKS[band["met"]]
            gain = "above 0" if band["gain"] == 0 else signed_points(band["gain"])
            told = "; ".join(band["missing"])
            lacks = f"  \n:gray[{frame.plain(told)}]" if told else ""
            st.markdown(f"{mark} **{band['title']}**, {word}: {gain} over unified{lacks}")
        mean = points(bands[0]["absolute_mean"]["found"])
        levels = ", ".join(f"{band['title']} {points(band['absolute'])}" for band in bands)
        st.caption(
            f"In embedding similarity. Published study: {frame.plain(levels)}; the mean here is {mean}."
        )


def equivalence(row: Row, reference: str, metric: Metric) -> None:
    """Show the button that tells whether a variant equals the reference, by two one-sided tests."""
    margin = row.get("equal_margin")
    if row["delta"] is None or margin is None or not known(row["p_equal"]):
        return
    p = row["p_equal"] if row["p_equal_holm"] is None else row["p_equal_holm"]
    size = f"{signed_points(margin).removeprefix('+')} point{'' if margin == POINT else 's'}"
    with st.popover("Is it equal?", icon=":material/equal:"):
        word = "Equal" if p < ALPHA else "Not shown to be equal"
        st.markdown(f"**{word}** to {frame.plain(row.get('built_on') or reference)} within ± {size}.")
        corrected = f", after Holm's correction {p_value(p)}" if p != row["p_equal"] else ""
        low, high = row["ci_low"], row["ci_high"]
        spread = f" The 95 % interval is {interval(low, high)}." if known(low) and known(high) else ""
        st.caption(
            f"Two one-sided tests (TOST): p {p_value(row['p_equal'])}{corrected}; below {ALPHA:g} is equal."
            f"{spread} A difference that is not clear is not for that reason none."
        )


def placebo_word(row: Row, metric: Metric) -> str:
    """Word where a variant stands to its placebo, for a table; empty where there is none."""
    above = row.get("above_placebo")
    if not above or above["delta"] is None:
        return ""
    return _PLACEBO_WORDS[verdict(above, higher_is_better=metric.higher_is_better)]


_PLACEBO_WORDS = {BETTER: "above it", WORSE: "below it", UNCLEAR: "not clear", EQUAL: "not clear"}


def controls(row: Row, reference: str, metric: Metric) -> None:
    """Show three gains side by side: over the reference, over as many steps for everybody, over the
    placebo."""
    above = row.get("above_placebo")
    shown = (
        (f"Over {reference}", row, ""),
        (
            "Over step-matched unified",
            row.get("above_matched"),
            "One adapter for all, trained for as many steps.",
        ),
        ("Over its placebo", above, "The same recipe with another persona's adapter or memories."),
    )
    with st.container(horizontal=True, gap="medium"):
        for label, one, about in shown:
            if one is None or one["delta"] is None:
                continue
            told = f"{about} 95 % interval {_span(one, metric)}, p {p_value(one['p'])}."
            _number(frame.plain(label), metric.change(one["delta"]), frame.plain(told.strip()))
    if above is None or above["delta"] is None:
        return
    st.caption(
        f"Against {frame.plain(above['placebo'])}: {placebo_word(row, metric)}; "
        f"{outcomes(above['wins'], above['ties'], above['losses'])}. That counts the harm of the wrong "
        "persona too, so it is not how much is personal: what training does not explain is the gain over as "
        "many steps."
    )


def spread(delta: float | None, low: float | None, high: float | None) -> str:
    """Word an interval behind its number; empty where there is none."""
    return "" if delta is None or low is None or high is None else f" ({interval(low, high)})"


def _span(row: Row, metric: Metric) -> str:
    return metric.spread(row["ci_low"], row["ci_high"]) if known(row["ci_low"]) else "none"


def noise(found: Row, metric: Metric) -> None:
    """Say what another seed alone changes, or how to find out."""
    for row in found["noise"]["repeats"]:
        st.caption(
            f"Another seed alone ({frame.plain(row['variant'])} against {frame.plain(row['reference'])}): "
            f"{metric.change(row['delta'])} (95 % interval {_span(row, metric)}); "
            f"{outcomes(row['wins'], row['ties'], row['losses'])}."
        )
    if told := noise_words(found["noise"], metric):
        st.caption(
            f"{told} Charts show the former as a grey band; more seeds narrow the latter. A mean over "
            "seeds is judged by its own."
        )
    if not found["noise"]["repeats"]:
        yet = "yet" if found["noise"]["command"] else "here: there is no second seed to compare with"
        st.caption(f"What another seed alone changes is not known {yet}.")
