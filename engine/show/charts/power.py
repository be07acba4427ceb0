"""How many personas would it take? The smallest difference that a study of n personas finds, over n."""

import altair as alt
import pandas as pd

from engine.core.wording import count
from engine.domains.metric import Metric
from engine.show.charts.looks import GRID, Chart, line_at, made_once, tips
from engine.stats.power import Outlook


@made_once
def power_chart(outlook: Outlook, *, metric: Metric) -> Chart:
    """Return the detectable difference over the personas; a dot is this study, a diamond the goal."""
    factor = metric.factor
    curve = pd.DataFrame(outlook.curve, columns=["personas", "difference"])
    curve["difference"] *= factor
    held = [("this study", outlook.n_personas, outlook.detectable)]
    if outlook.needed is not None:
        held.append(("what you asked for", outlook.needed, outlook.effect))
    marks = pd.DataFrame(
        [
            {
                "what": what,
                "personas": n,
                "difference": factor * value,
                "words": f"{count(n, 'persona')}: {metric.size(value)}",
            }
            for what, n, value in held
        ]
    )
    x = alt.X(
        "personas:Q",
        title="Personas",
        scale=alt.Scale(type="log", nice=False, padding=8),
        axis=alt.Axis(grid=False, format="~s", tickCount=6),
    )
    y = alt.Y(
        "difference:Q",
        title="Smallest difference found, points" if metric.in_points else "Smallest difference found",
        scale=alt.Scale(domainMin=0),
    )
    line = alt.Chart(curve).mark_line(color=GRID, strokeWidth=2).encode(x=x, y=y)
    dots = (
        alt.Chart(marks)
        .mark_point(filled=True, size=110, opacity=1, color=GRID)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape(
                "what:N",
                scale=alt.Scale(domain=[what for what, *_ in held], range=["circle", "diamond"]),
                legend=alt.Legend(title=None, orient="top", symbolFillColor=GRID, symbolStrokeColor=GRID),
            ),
            tooltip=tips(what="Mark", words="Finds"),
        )
    )
    asked = line_at(factor * outlook.effect, axis="y", dashed=True, words="the difference you asked for")
    return alt.layer(asked, line, dots).properties(height=280)
