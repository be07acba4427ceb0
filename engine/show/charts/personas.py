"""Who gains and who loses? One variant against the reference, one mark a persona."""

from collections.abc import Mapping
from typing import Final

import altair as alt
import numpy as np
import pandas as pd

from engine.domains.metric import Metric
from engine.show.charts.looks import GRID, Chart, brushed, clicked, line_at, made_once, scale, tips
from engine.stats.levels import CATASTROPHE, NOISE
from engine.stats.pairing import Pairing
from engine.stats.verdicts import BETTER, EQUAL, WORSE, outcome

_STRIP_BINS = 60
_FAR_BELOW: Final = -100 * CATASTROPHE  # points
_FEW = 40  # personas whose names fit below their bars
_SHAPES: Final = {BETTER: "triangle-up", WORSE: "triangle-down", EQUAL: "diamond"}
_OUTCOME_SHAPE: Final = alt.Shape(
    "outcome:N", scale=alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values())), legend=None
)


def table_of(found: Pairing, *, metric: Metric, margin: float = 0.0) -> pd.DataFrame:
    """Return one row a persona of a pairing, best first.

    Columns: persona_id, candidate, reference, difference (all fractions), outcome, rank (from 1). An outcome
    is better or worse by more than `margin`.
    """
    frame = pd.DataFrame(
        {
            "persona_id": list(found.personas),
            "candidate": found.candidate,
            "reference": found.reference,
            "difference": found.differences,
        }
    )
    return ranked(frame, metric=metric, margin=margin)


def ranked(frame: pd.DataFrame, *, metric: Metric, margin: float = 0.0) -> pd.DataFrame:
    """Return rows of persona_id, candidate, reference and difference, best first, with outcome and rank."""
    outcomes = [
        outcome(value, higher_is_better=metric.higher_is_better, margin=margin)
        for value in frame["difference"]
    ]
    found = frame.assign(outcome=outcomes).sort_values(
        ["difference", "persona_id"], ascending=[metric.sign < 0, True], ignore_index=True
    )
    return found.assign(rank=range(1, len(found) + 1))


def catastrophes(table: pd.DataFrame, *, metric: Metric) -> pd.DataFrame:
    """Return the rows of `table` that lost more than 10 points, the largest loss first."""
    loss = -metric.sign * table["difference"]
    far = table.assign(loss=loss)[loss > CATASTROPHE + NOISE]
    return far.sort_values(["loss", "persona_id"], ascending=[False, True], ignore_index=True)


def _worded(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The table on the scale of the screen, with each number in words for hovering."""
    factor = metric.factor
    return table.assign(
        difference=factor * table["difference"],
        candidate=factor * table["candidate"],
        reference=factor * table["reference"],
        words=[metric.change(value) for value in table["difference"]],
        candidate_words=[metric.level(value) for value in table["candidate"]],
        reference_words=[metric.level(value) for value in table["reference"]],
    )


def _tooltip(frame: pd.DataFrame, candidate: str, reference: str) -> list[alt.Tooltip]:
    sides = {"candidate_words": candidate, "reference_words": reference}
    who = {"called" if "called" in frame else "persona_id": "Persona"}
    return tips(**who, words="Difference", outcome="Outcome", **sides, rank="Rank")


def _outcome_colour(frame: pd.DataFrame, *, symbol: str = "square") -> alt.Color:
    held = set(frame["outcome"])
    words = [word for word in (BETTER, WORSE, EQUAL) if word in held]
    legend = alt.Legend(values=words, orient="top", title=None, symbolType=symbol, symbolOpacity=1)
    return alt.Color("outcome:N", scale=scale(), legend=legend)


@made_once
def persona_chart(table: pd.DataFrame, *, candidate: str, reference: str, metric: Metric) -> Chart:
    """Return one bar a persona, sorted from the largest gain to the largest loss.

    A click on a bar selects its persona (parameter `chosen`, field `persona_id`).
    """
    frame = _worded(table, metric)
    few = len(frame) <= _FEW
    axis = alt.Axis(
        labels=few, ticks=False, domain=False, labelAngle=-90, labelOverlap=True, labelLimit=90, grid=False
    )
    title = None if few else "Personas, from the largest gain to the largest loss"
    bars = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=2 if few else 0, minBandSize=2)
        .encode(
            x=alt.X("persona_id:N", sort=list(frame["persona_id"]), title=title, axis=axis)
            if few
            else alt.X("rank:O", title=title, axis=axis),
            y=alt.Y("difference:Q", title="Difference, points" if metric.in_points else "Difference"),
            color=_outcome_colour(frame),
            tooltip=_tooltip(frame, candidate, reference),
        )
    )
    columns = (  # the whole column takes the click: a bar may be a pixel high, or nothing
        alt.Chart(frame)
        .mark_rect(opacity=0, cursor="pointer", aria=False)
        .encode(x=bars.encoding.x, tooltip=_tooltip(frame, candidate, reference))
        .add_params(clicked("persona_id"))
    )
    equal = bars.transform_filter(alt.datum.outcome == EQUAL).mark_point(
        shape="diamond", size=36 if few else 12, filled=True
    )
    lines = [line_at(0.0, axis="y")]
    if metric.in_points and len(frame) and frame["difference"].min() < _FAR_BELOW:
        lines.append(line_at(_FAR_BELOW, axis="y", dashed=True, words=f"{-_FAR_BELOW:.0f} points lost"))
    return alt.layer(bars, *lines, equal, columns).properties(height=280)


@made_once
def strip_chart(table: pd.DataFrame, *, candidate: str, reference: str, metric: Metric) -> Chart:
    """Return a dot a persona on one axis of differences from the reference: left of the line is who loses.

    Dots that would lie on each other are stacked. A click selects a persona (`chosen`, field `persona_id`);
    shapes repeat the colours.
    """
    frame = _worded(table, metric)
    values = frame["difference"].to_numpy(dtype=float)
    width = float(values.max() - values.min()) / _STRIP_BINS if len(values) else 1.0
    bins = pd.Series(np.floor(values / width) if width > 0 else np.zeros(len(values)), index=frame.index)
    frame = frame.assign(place=frame.groupby(bins).cumcount())
    top = max(2.6, float(frame["place"].max()) + 0.6)
    marks = (
        alt.Chart(frame)
        .mark_point(filled=True, size=64, opacity=0.85, cursor="pointer")
        .encode(
            x=alt.X(
                "difference:Q", title=None,
                scale=alt.Undefined if values.any() else alt.Scale(domain=[-1, 1]),
                axis=alt.Axis(grid=False, tickMinStep=1 if metric.in_points else 0, tickCount=8),
            ),
            y=alt.Y("place:Q", axis=None, scale=alt.Scale(domain=[-0.6, top])),
            color=_outcome_colour(frame, symbol="circle"),
            shape=_OUTCOME_SHAPE,
            tooltip=_tooltip(frame, candidate, reference),
        )
        .add_params(clicked("persona_id"))
    )  # fmt: skip
    return alt.layer(line_at(0.0, axis="x"), marks).properties(height=104)


@made_once
def scatter_chart(table: pd.DataFrame, *, candidate: str, reference: str, metric: Metric) -> Chart:
    """Return candidate over reference, a mark a persona; above the diagonal the candidate has more.

    A click selects a persona (`chosen`, field `persona_id`), a drag a box (`brushed`, fields `reference` and
    `candidate`, on the screen's scale). Below the dashed line ten points are lost. Shapes repeat the colours.
    """
    frame = _worded(table, metric)
    low, high = _square(frame)
    unit = ", points" if metric.in_points else ""
    x_scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    marks = (
        alt.Chart(frame)
        .mark_point(filled=True, size=46, opacity=0.75, cursor="pointer")
        .encode(
            x=alt.X("reference:Q", title=f"{reference}{unit}", scale=x_scale),
            y=alt.Y("candidate:Q", title=f"{candidate}{unit}", scale=x_scale),
            color=_outcome_colour(frame, symbol="circle"),
            shape=_OUTCOME_SHAPE,
            tooltip=_tooltip(frame, candidate, reference),
        )
        .add_params(clicked("persona_id"), brushed("x", "y"))
    )
    lines = [_diagonal(low, high, 0.0)]
    if metric.in_points:
        lines.append(_diagonal(low, high, _FAR_BELOW, dashed=True))
    return alt.layer(*lines, marks).properties(height=320)


def _square(frame: pd.DataFrame) -> tuple[float, float]:
    values = np.concatenate([frame["candidate"], frame["reference"]])
    if not len(values):
        return 0.0, 1.0
    air = 0.04 * float(values.max() - values.min()) or 1.0
    return float(values.min()) - air, float(values.max()) + air


def _diagonal(low: float, high: float, shift: float, *, dashed: bool = False) -> alt.Chart:
    ends = pd.DataFrame(
        {"x": [max(low, low - shift), high], "y": [max(low, low - shift) + shift, high + shift]}
    )
    return (
        alt.Chart(ends)
        .mark_line(color=GRID, strokeWidth=1, strokeDash=[4, 4] if dashed else [1, 0])
        .encode(x="x:Q", y="y:Q")
    )


@made_once
def distribution_chart(table: pd.DataFrame, *, mean: float, metric: Metric) -> Chart:
    """Return how many personas there are at each difference, in bins that never straddle 0.

    A drag selects a range (`brushed`, field `low`: differences on the screen's scale). `mean` is a fraction;
    the solid line is at 0, the dashed one at the mean.
    """
    frame = _bins(metric.factor * table["difference"].to_numpy(dtype=float), metric)
    bars = (
        alt.Chart(frame)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X(
                "low:Q", bin="binned", title="Difference, points" if metric.in_points else "Difference",
                axis=alt.Axis(tickCount=8, grid=False),
            ),
            x2="high:Q",
            y=alt.Y("personas:Q", title="Personas", axis=alt.Axis(tickMinStep=1, tickCount=5)),
            color=alt.Color("outcome:N", scale=scale(), legend=None),
            tooltip=tips(words="Difference", personas="Personas"),
        )
        .add_params(brushed("x"))
    )  # fmt: skip
    told = f"mean {metric.change(mean)}"
    return alt.layer(
        bars, line_at(0.0, axis="x"), line_at(metric.factor * mean, axis="x", dashed=True, words=told)
    ).properties(height=320)


def _bins(values: np.ndarray, metric: Metric) -> pd.DataFrame:
    """Counts in bins of one width; exact zeros, where there are any, have a thin bin of their own."""
    width = _width(values)
    frame = []
    zeros = int((values == 0).sum())
    moved = values[values != 0]
    for place, held in pd.Series(moved).groupby(np.floor(moved / width)):
        low = float(place) * width
        word = outcome(low + width / 2, higher_is_better=metric.higher_is_better)
        ends = [metric.change(end / metric.factor) for end in (low, low + width)]
        frame.append((low, low + width, len(held), word, " to ".join(ends)))
    if zeros:
        frame.append((-width / 8, width / 8, zeros, EQUAL, "0, equal"))
    return pd.DataFrame(frame, columns=["low", "high", "personas", "outcome", "words"])


def _width(values: np.ndarray) -> float:
    """A round width of 1, 2 or 5 times a power of ten; some 12 bins for few personas, 24 for many."""
    span = float(values.max() - values.min()) if len(values) else 1.0
    rough = max(span / min(24, max(12, 2 * len(values) ** 0.5)), 1e-6)
    power = 10.0 ** np.floor(np.log10(rough))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= rough))


def selected_personas(table: pd.DataFrame, ranges: Mapping[str, list[float]], *, metric: Metric) -> list[str]:
    """Return the personas within a brush: column of `table` -> its two ends on the screen's scale."""
    inside = np.ones(len(table), dtype=bool)
    for field, (low, high) in ranges.items():
        values = metric.factor * table[field].to_numpy(dtype=float)
        inside &= (values >= min(low, high)) & (values <= max(low, high))
    return list(table.loc[inside, "persona_id"])
