"""Who is preferred? One line a variant: its rating by the blind votes, with its interval."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from engine.show.charts.looks import Chart, line_at, made_once, scale, tips
from engine.stats.bradley_terry import AVERAGE, Rating

_COLOUR = "amount"


@made_once
def ratings_chart(ratings: Sequence[Rating]) -> Chart:
    """Return the ratings with their 95 % intervals, best first; the dashed line is the average."""
    frame = pd.DataFrame(
        {
            "variant": one.name,
            "rating": one.rating,
            "low": one.low,
            "high": one.high,
            "words": f"{one.rating:.0f}",
            "interval": f"{one.low:.0f} to {one.high:.0f}",
            "votes": one.games,
            "colour": _COLOUR,
        }
        for one in ratings
    )
    axis = alt.Axis(labelLimit=190, labelFlush=False, domain=False, ticks=False)
    y = alt.Y("variant:N", sort=[one.name for one in ratings], title=None, axis=axis)
    tooltip = tips(variant="Variant", words="Rating", interval="95 % interval", votes="Votes")
    base = alt.Chart(frame).encode(y=y, tooltip=tooltip)
    colour = alt.Color("colour:N", scale=scale(), legend=None)
    x = alt.X("low:Q", title="Rating", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6, format="d"))
    lines = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", color=colour)
    dots = base.mark_point(size=90, filled=True, opacity=1).encode(x="rating:Q", color=colour)
    average = line_at(AVERAGE, axis="x", dashed=True)
    return alt.layer(average, lines, dots).properties(height=32 * len(ratings) + 90)
