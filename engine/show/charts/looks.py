"""What all charts share: the words that colours stand for, and the names of their selections.

No colour is fixed here: charts name words of `PALETTE`, and the app's theme gives each word its colour, in
light and dark. Blue is better, orange is worse, grey is neither; each also has a sign or a word.
"""

import functools
import hashlib
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, Final, Literal, ParamSpec

import altair as alt
import pandas as pd

from engine.stats.verdicts import BETTER, EQUAL, WORSE

# Order matters: the theme's categorical colours are given out in this order.
PALETTE: Final = (BETTER, WORSE, EQUAL, "training", "validation", "amount")
CHOSEN: Final = "chosen"  # the selection of a click
BRUSHED: Final = "brushed"  # the selection of a drag
GRID: Final = "#8a949a"  # readable on light and on dark

Chart = alt.LayerChart | alt.FacetChart
P = ParamSpec("P")
_KEPT = 4  # charts of each function
_SPECIFICATION = "_specification"


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


def made_once(make: Callable[P, Chart]) -> Callable[P, Chart]:
    """Keep the charts that a function made last: equal arguments give the same, which nobody may change.

    Making one takes longer than all else that a page does when it is drawn again.
    """
    kept: OrderedDict[str, Chart] = OrderedDict()

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Chart:
        asked = _content((args, kwargs))
        found = kept.pop(asked, None) or make(*args, **kwargs)
        kept[asked] = found
        while len(kept) > _KEPT:
            kept.popitem(last=False)
        return found

    return made


def specification(chart: Chart) -> dict[str, Any]:
    """Return a chart as Vega-Lite, its tables beside it under "datasets" by a name of their content.

    Made once a chart, and not held against Vega-Lite's schema, which takes most of the time; tests do that.
    """
    kept = vars(chart)
    if _SPECIFICATION not in kept:
        copied, tables = chart.copy(deep=True), {}
        for part in parts(copied):
            if isinstance(part.data, pd.DataFrame):
                name = _content(part.data)
                tables[name], part.data = part.data, alt.NamedData(name=name)
        made = copied.to_dict(validate=False)
        if chart.config is alt.Undefined:
            del made["config"]  # altair's own theme; the app has one
        object.__setattr__(chart, _SPECIFICATION, {**made, "datasets": tables})
    found: dict[str, Any] = kept[_SPECIFICATION]
    return found


def parts(chart: Any) -> Iterator[Any]:
    """Yield a chart and all charts within it."""
    yield chart
    for name in ("layer", "hconcat", "vconcat", "concat"):
        for part in getattr(chart, name, ()) or ():
            yield from parts(part)
    if hasattr(getattr(chart, "spec", None), "data"):
        yield from parts(chart.spec)


class _Pickler(pickle.Pickler):
    """Tells functions apart by their names: a metric's may be local ones."""

    def reducer_override(self, held: Any) -> Any:
        if isinstance(held, FunctionType):
            return str, (f"{held.__module__}.{held.__qualname__}",)
        return NotImplemented


def _content(held: Any) -> str:
    written = io.BytesIO()
    _Pickler(written).dump(held)
    return hashlib.sha256(written.getbuffer()).hexdigest()[:32]


def room_on_the_right(pixels: int) -> alt.Scale:
    """Return a scale whose marks leave so much of the width to the words beside them: none is cut off."""
    return alt.Scale(rangeMax=alt.expr(f"width - {pixels}"), domainMin=0, nice=False)
