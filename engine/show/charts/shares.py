"""Charts and table records of a dataset: shares and lengths. Owns how they look; reads nothing."""

from collections.abc import Mapping
from typing import Literal

import altair as alt
import pandas as pd

from engine.core.wording import percent
from engine.show.charts.looks import made_once, room_on_the_right, scale, tips


@made_once
def share_chart(shares: Mapping[str, float | None], *, title: str) -> alt.LayerChart | alt.FacetChart:
    """Return one horizontal bar a name, in percent, with its number beside it."""
    frame = pd.DataFrame(
        [
            {"name": name, "percent": 100 * share, "words": _words(share), "kind": "amount"}
            for name, share in shares.items()
            if share is not None
        ],
        columns=["name", "percent", "words", "kind"],
    ).sort_values("percent", ascending=False)
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", sort=list(frame["name"]), title=None, axis=alt.Axis(domain=False, ticks=False)),
        x=alt.X(
            "percent:Q", title=title, scale=room_on_the_right(44), axis=alt.Axis(grid=False, tickCount=4)
        ),
        tooltip=tips(name="Named", words="Share"),
    )
    bars = base.mark_bar(height={"band": 0.55}, cornerRadiusEnd=2).encode(
        color=alt.Color("kind:N", scale=scale(), legend=None)
    )
    return alt.layer(
        bars,
        base.mark_text(align="left", dx=5).encode(
            text="words:N", color=alt.Color("kind:N", scale=scale(), legend=None)
        ),
    ).properties(height=32 * max(1, len(frame)) + 40)


def _words(share: float) -> str:
    """A small share keeps a decimal: a bar that is there is not "0 %"."""
    return percent(share, 0 if share >= 0.01 or not share else 1)


Lengths = Literal["mean", "p10", "p50", "p90"]


def lengths_table(lengths: Mapping[str, Mapping[Lengths, float] | None]) -> pd.DataFrame:
    """Return one row a measured thing: what, median, the middle 80 %, mean."""
    return pd.DataFrame(
        [
            {
                "what": name,
                "median": values["p50"],
                "middle": f"{values['p10']:.0f} to {values['p90']:.0f}",
                "mean": values["mean"],
            }
            for name, values in lengths.items()
            if values is not None
        ],
        columns=["what", "median", "middle", "mean"],
    )
