"""What does quality cost? Means over parameters, training time or latency, and the front nobody beats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import altair as alt
import pandas as pd

from engine.core.types import Row
from engine.core.wording import count, duration
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.show.charts.looks import GRID, Chart, clicked, made_once, scale, tips
from engine.stats.verdicts import BETTER, EQUAL, WORSE, verdict

CostName = Literal["parameters", "training", "latency"]
_RIGHT: Final = (
    "scale('x', datum.cost) > width / 2"  # there a name stands left of its mark, not over the edge
)


@dataclass(frozen=True, slots=True)
class Cost:
    """One kind of cost: its name in records, on screens, and what it counts."""

    name: CostName
    label: str
    title: str
    help: str


COSTS: Final[Mapping[str, Cost]] = {
    one.name: one
    for one in (
        Cost(
            "parameters",
            "Parameters",
            "Parameters trained, all personas together",
            "Trained weights over the base model, of all personas or clusters, with those of what it is "
            "built on. 0: nothing was trained.",
        ),
        Cost(
            "training",
            "Training time",
            "Training time, seconds",
            "The time of the runs that trained it and what it is built on, on their machines.",
        ),
        Cost(
            "latency",
            "Time per reply",
            "Time per reply, seconds",
            "The mean time that one scored reply took, in batches, on the machine it ran on.",
        ),
    )
}


def tradeoff_table(
    rows: Sequence[Row], costs: Mapping[str, float | None], *, cost: CostName, metric: Metric
) -> pd.DataFrame:
    """Return one row a variant of known cost: variant, mean (on the screen's scale), cost, verdict,
    tone (a word of PALETTE), front, words.

    `costs` maps variants to one kind of cost. Bounds, repeats and variants of other protocols are left out.
    The front holds the variants that no other is as cheap as and better, or as good as and cheaper.
    """
    kept = [
        row
        for row in rows
        if row["mean"] is not None and costs.get(row["variant"]) is not None and row_role.takes_part(row)
    ]
    frame = pd.DataFrame(
        [
            {
                "variant": row["variant"],
                "mean": metric.factor * row["mean"],
                "cost": float(costs[row["variant"]] or 0),
                "verdict": _word(row, metric),
                "tone": _tone(row, metric),
                "role": row["role"],
                "mean_words": metric.level(row["mean"]),
                "cost_words": _spelled(cost, float(costs[row["variant"]] or 0)),
            }
            for row in kept
        ],
        columns=["variant", "mean", "cost", "verdict", "tone", "role", "mean_words", "cost_words"],
    )
    on_front = front(list(zip(frame["cost"], metric.sign * frame["mean"], strict=True)))
    return frame.assign(front=["on the front" if one else "beaten" for one in on_front])


def front(points_: Sequence[tuple[float, float]]) -> list[bool]:
    """Return which (cost, worth) no other beats: none is as cheap and better, nor as good and cheaper."""
    return [
        not any(
            (other_cost <= cost and other_worth > worth) or (other_cost < cost and other_worth >= worth)
            for other_cost, other_worth in points_
        )
        for cost, worth in points_
    ]


@made_once
def cost_chart(table: pd.DataFrame, *, cost: CostName, metric: Metric) -> Chart:
    """Return the means over a cost; the front is joined by steps and named, the rest is named on hovering.

    A click selects a variant (parameter `chosen`, field `variant`).
    """
    axis: dict[str, Any] = {"grid": False, "tickCount": 6}
    if cost == "parameters":
        axis |= {"labelExpr": "datum.value == 0 ? '0' : format(datum.value, '~s')", "tickCount": 5}
    spread = table["cost"].max() > 50 * max(table["cost"].replace(0, pd.NA).min(), 1e-9)
    kind = alt.Scale(type="symlog", constant=_smallest(table)) if spread else alt.Scale(zero=False, nice=True)
    x = alt.X("cost:Q", title=COSTS[cost].title, scale=kind, axis=alt.Axis(**axis))
    y = alt.Y(
        "mean:Q",
        title=f"{metric.label}{', points' if metric.in_points else ''}",
        scale=alt.Scale(zero=False, padding=18),
    )
    base = alt.Chart(table).encode(x=x, y=y)
    leading = table[table["front"] == "on the front"].sort_values("cost")
    line = alt.Chart(leading).mark_line(color=GRID, strokeDash=[4, 4], interpolate="step-after")
    marks = base.mark_point(filled=True, cursor="pointer", opacity=1).encode(
        color=alt.Color("tone:N", scale=scale(), legend=None),
        shape=alt.Shape(
            "front:N",
            scale=alt.Scale(domain=["on the front", "beaten"], range=["diamond", "circle"]),
            legend=alt.Legend(title=None, orient="top", symbolFillColor=GRID, symbolStrokeColor=GRID),
        ),
        size=alt.condition(alt.datum.front == "on the front", alt.value(130), alt.value(60)),
        tooltip=tips(
            variant="Variant",
            mean_words=metric.label,
            cost_words=COSTS[cost].label,
            verdict="Against the reference",
            front="Front",
        ),
    )
    names = (
        alt.Chart(leading)
        .mark_text(
            align=alt.expr(f"{_RIGHT} ? 'right' : 'left'"),
            dx=alt.expr(f"{_RIGHT} ? -9 : 9"),
            dy=-9,
            fontSize=12,
            color=GRID,
            limit=220,
        )  # fmt: skip
        .encode(x=x, y=y, text="variant:N")
    )
    return alt.layer(line.encode(x=x, y=y), marks.add_params(clicked("variant")), names).properties(
        height=380
    )


def _smallest(table: pd.DataFrame) -> float:
    positive = table.loc[table["cost"] > 0, "cost"]
    return float(positive.min()) if len(positive) else 1.0


def _word(row: Row, metric: Metric) -> str:
    """The verdict as every table words it."""
    return str(row["role"] or verdict(row, higher_is_better=metric.higher_is_better))


def _tone(row: Row, metric: Metric) -> str:
    """The word of the palette that colours a mark."""
    found = _word(row, metric)
    return found if found in (BETTER, WORSE) else EQUAL


def _spelled(cost: CostName, value: float) -> str:
    if cost == "parameters":
        return count(int(value), "parameter")
    return duration(value) if cost == "training" else f"{value:.2f} s"
