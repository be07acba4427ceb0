"""How sure is each difference? One line a variant with its interval; the band is what another seed makes."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from engine.core.types import Row
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.show.charts.leaderboard import REPEATED
from engine.show.charts.looks import GRID, Chart, clicked, line_at, made_once, scale, tips
from engine.stats.verdicts import BETTER, EQUAL, WORSE, verdict

_ROOM = 0.16  # of the width, on the right, for the numbers: nothing is drawn over them


@made_once
def interval_chart(
    rows: Sequence[Row], *, reference: str, metric: Metric, noise_floor: float | None = None
) -> Chart:
    """Return the differences to the reference with their intervals, one line a variant, in the rows' order.

    A click on a variant selects it (parameter `chosen`, field `variant`). Bounds are diamonds. Differences
    within `noise_floor` (a fraction) of 0 lie in a grey band. The numbers stand in a column of their own.
    """
    shown = [row for row in rows if row["variant"] != reference and row["delta"] is not None]
    frame = pd.DataFrame([_record(row, metric) for row in shown])
    low, high = _domain(frame, 0.0 if noise_floor is None else metric.factor * noise_floor)
    right = high + (high - low) * _ROOM
    unit = "points" if metric.in_points else "in the metric's unit"
    x = alt.X(
        "low:Q",
        title=f"Difference to {reference}, {unit}",
        scale=alt.Scale(domain=[low, right], nice=False, zero=False),
        axis=alt.Axis(tickCount=7),
    )
    y = alt.Y(
        "variant:N",
        sort=[row["variant"] for row in shown],
        title=None,
        axis=alt.Axis(labelLimit=190, labelFlush=False, labelOverlap=False, domain=False, ticks=False),
    )
    told = tips(variant="Variant", words="Difference", interval="95 % interval", personas="Personas")
    base = alt.Chart(frame).encode(y=y, tooltip=told) if len(frame) else alt.Chart(_NOTHING)
    colour = alt.Color("verdict:N", scale=scale(), legend=None)
    lines = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", color=colour)
    dots = base.mark_point(size=90, filled=True, opacity=1, cursor="pointer").encode(
        x="difference:Q",
        color=colour,
        shape=alt.Shape(
            "kind:N", scale=alt.Scale(domain=["variant", "bound"], range=["circle", "diamond"]), legend=None
        ),
    )
    numbers = base.mark_text(align="right", fontSize=12).encode(
        x=alt.datum(right), text="words:N", color=colour
    )
    bands = []
    if noise_floor is not None:
        edges = pd.DataFrame({"from": [-metric.factor * noise_floor], "to": [metric.factor * noise_floor]})
        bands.append(alt.Chart(edges).mark_rect(color=GRID, opacity=0.18).encode(x="from:Q", x2="to:Q"))
    zero = line_at(0.0, axis="x", dashed=True)
    height = 30 * max(2, len(frame)) + 40
    return alt.layer(*bands, zero, lines, dots.add_params(clicked("variant")), numbers).properties(
        height=height
    )


_NOTHING = pd.DataFrame(
    {name: pd.Series(dtype="float") for name in ("low", "high", "difference")}
    | {name: pd.Series(dtype="str") for name in ("variant", "verdict", "kind", "words", "interval")}
)


def _record(row: Row, metric: Metric) -> dict[str, Any]:
    factor = metric.factor
    low, high = row["ci_low"], row["ci_high"]
    return {
        "variant": row["variant"],
        "difference": factor * row["delta"],
        "low": factor * (row["delta"] if low is None else low),
        "high": factor * (row["delta"] if high is None else high),
        "verdict": _colour_of(row, metric),
        "kind": "bound" if row_role.is_bound(row) else "variant",
        "words": metric.change(row["delta"]),
        "interval": metric.spread(low, high),
        "personas": row["n_paired"],
    }


def _domain(frame: pd.DataFrame, noise: float) -> tuple[float, float]:
    """The ends of what is drawn: every interval, zero and the noise band, with a little air."""
    edges = [
        -noise,
        0.0,
        noise,
        *(frame["low"] if len(frame) else ()),
        *(frame["high"] if len(frame) else ()),
    ]
    low, high = min(edges), max(edges)
    air = 0.03 * (high - low) or 1.0
    return low - air, high + air


def _colour_of(row: Row, metric: Metric) -> str:
    word = verdict(row, higher_is_better=metric.higher_is_better)
    return word if word in (BETTER, WORSE) and row.get("role") not in REPEATED else EQUAL
