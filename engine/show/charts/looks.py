"""What all charts share: the words that colours stand for, and the names of their selections.

No colour is fixed here: charts name words of `PALETTE`, and the app's theme gives each word its colour, in
light and dark. Blue is better, orange is worse, grey is neither; each also has a sign or a word.
"""

import functools
from typing import Any, Final, Literal

import altair as alt
import pandas as pd

from engine.stats.verdicts import BETTER, EQUAL, WORSE

# Order matters: the theme's categorical colours are given out in this order.
PALETTE: Final = (BETTER, WORSE, EQUAL, "training", "validation", "amount")
CHOSEN: Final = "chosen"  # the selection of a click
BRUSHED: Final = "brushed"  # the selection of a drag
GRID: Final = "#8a949a"  # readable on light and on dark

Chart = alt.LayerChart | alt.FacetChart


def scale() -> alt.Scale:
    """Return the one colour scale of all charts."""
    return alt.Scale(domain=list(PALETTE))


def clicked(*fields: str) -> alt.Parameter:
    """Return the selection of a click, which hands back the values of `fields` under the mark."""
    return alt.selection_point(name=CHOSEN, fields=list(fields), on="click", empty=False)


def brushed(*channels: Literal["x", "y"]) -> alt.Parameter:
    """Return the selection of a drag, which hands back a range of each channel's field."""
    return alt.selection_interval(name=BRUSHED, encodings=list(channels), empty=False)


def line_at(value: float, *, axis: str, dashed: bool = False, words: str = "") -> alt.Chart:
    """Return a grey line across the chart at a value of `axis` ("x" or "y"), with words on hovering."""
    held = pd.DataFrame({"at": [value], "words": [words]})
    mark: dict[str, Any] = {"color": GRID, "aria": False, **({"strokeDash": [4, 4]} if dashed else {})}
    rule = alt.Chart(held).mark_rule(**mark).encode(**{axis: alt.datum(value)})
    return rule.encode(tooltip=alt.Tooltip("words:N", title="Line")) if words else rule


def tips(**titles: str) -> list[alt.Tooltip]:
    """Return what hovering tells: the fields of these names, under these titles."""
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]


def quick(chart: Chart) -> Chart:
    """Return a finished chart that is drawn without being held against Vega-Lite's schema each time.

    That check is most of the time of drawing, and tests do it for every chart.
    """
    object.__setattr__(chart, "to_dict", functools.partial(chart.to_dict, validate=False))
    return chart


def room_on_the_right(pixels: int) -> alt.Scale:
    """Return a scale whose marks leave so much of the width to the words beside them: none is cut off."""
    return alt.Scale(rangeMax=alt.expr(f"width - {pixels}"), domainMin=0, nice=False)
