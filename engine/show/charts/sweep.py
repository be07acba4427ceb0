"""Charts and tables of sweeps, made from their results, for pages and reports. Reads nothing.

As in engine/show/charts/looks.py no colour is fixed: points name the words of its palette, and every series
has a shape, a dash and its name above the last point.
"""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from engine.core.wording import SPLIT_WORDS
from engine.domains.metrics import METRICS
from engine.results.comparing import row_role
from engine.results.comparing.sweeps import SweepResults
from engine.show.charts.looks import GRID, Chart, scale, tips
from engine.stats.verdicts import BETTER, EQUAL, WORSE, verdict

EVERYTHING = "all"
_COLUMNS = (
    *("value", "place", "series", "experiment", "split", "variant"),
    *("mean", "difference", "low", "high", "verdict", "words", "interval", "personas", "best"),
)


def sweep_table(results: Sequence[SweepResults], *, splits: Sequence[str] = ("val", "test")) -> pd.DataFrame:
    """Return one row a value, experiment and split that is scored, in the order of the values.

    `difference`, `low`, `high` and `mean` are points, or on the metric's own scale; `best` marks the value
    chosen on val; `series` names what a line of the chart joins.
    """
    several = len(results) > 1
    rows = []
    for found in results:
        metric = METRICS[found.metric]
        factor = metric.factor
        for place, point in enumerate(found.points):
            for split in splits:
                row = point.rows.get(split)
                if row is None or row["delta"] is None:
                    continue
                low = row["ci_low"] if row["ci_low"] is not None else row["delta"]
                high = row["ci_high"] if row["ci_high"] is not None else row["delta"]
                told = verdict(row, higher_is_better=metric.higher_is_better)
                word = told if row_role.competes(row) else EQUAL
                names = [found.experiment] if several else []
                names += [SPLIT_WORDS[split].lower()] if len(splits) > 1 or not several else []
                rows.append(
                    {
                        "value": EVERYTHING if point.value is None else str(point.value),
                        "place": place,
                        "series": ", ".join(names),
                        "experiment": found.experiment,
                        "split": split,
                        "variant": point.variant,
                        "mean": factor * row["mean"],
                        "difference": factor * row["delta"],
                        "low": factor * low,
                        "high": factor * high,
                        "verdict": word if word in (BETTER, WORSE) else EQUAL,
                        "words": metric.change(row["delta"]),
                        "interval": metric.spread(row["ci_low"], row["ci_high"]),
                        "personas": row["n_paired"],
                        "best": found.best is not None and point.value == found.best,
                    }
                )
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def sweep_chart(results: Sequence[SweepResults], *, splits: Sequence[str] = ("val", "test")) -> Chart:
    """Return the gain over the reference against the swept value: points with intervals, a line a series.

    The value chosen on val has a ring. Values are in the sweep's order at even distances, so 0.01 and 0.5
    both have room.
    """
    frame = sweep_table(results, splits=splits)
    order = list(dict.fromkeys(frame.sort_values("place")["value"]))
    series = list(dict.fromkeys(frame["series"]))
    parameter = results[0].parameter if results else "value"
    reference = next((found.reference for found in results if found.reference), "unified")
    x = alt.X("value:N", sort=order, title=parameter, axis=alt.Axis(labelAngle=0, grid=False))
    beside = alt.XOffset("series:N", sort=series)
    shape = alt.Shape("series:N", sort=series, legend=None)
    colour = alt.Color("verdict:N", scale=scale(), legend=None)
    in_points = all(METRICS[found.metric].in_points for found in results)
    y_title = f"Difference to {reference}{', points' if in_points else ''}"
    told = {"words": "Difference", "interval": "95 % interval", "personas": "Personas"}
    tooltip = tips(series="Series", value=parameter, **told)
    base = alt.Chart(frame).encode(x=x, xOffset=beside, tooltip=tooltip)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=GRID, strokeDash=[3, 3], aria=False)
    line = base.mark_line(color=GRID, strokeWidth=1.5).encode(
        y=alt.Y("difference:Q", title=y_title),
        detail="series:N",
        strokeDash=alt.StrokeDash("series:N", sort=series, legend=None),
    )
    rules = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title=y_title), y2="high:Q", color=colour)
    dots = base.mark_point(size=90, filled=True, opacity=1).encode(
        y=alt.Y("difference:Q", title=y_title), shape=shape, color=colour
    )
    rings = base.transform_filter(alt.datum.best).mark_point(size=260, color=GRID).encode(y="difference:Q")
    last = alt.Chart(_last(frame)).encode(x=x, xOffset=beside, y="difference:Q", text="series:N")
    names = last.mark_text(align="right", dx=4, dy=-14, fontSize=11, color=GRID)  # within: nothing is cut off
    return alt.layer(zero.encode(y="zero:Q"), line, rules, rings, dots, names).properties(height=300)


def sweep_words(results: Sequence[SweepResults]) -> list[str]:
    """Return a sentence an experiment: the value chosen on val, and what it gains on test."""
    told = []
    for found in results:
        chosen = next((one for one in found.points if one.value == found.best), None)
        if found.best is None or chosen is None:
            told.append(f"{found.experiment}: fewer than two values are scored; nothing to choose yet.")
            continue
        val, test, metric = chosen.rows["val"], chosen.rows.get("test"), METRICS[found.metric]
        value = EVERYTHING if chosen.value is None else chosen.value
        spread = metric.spread(test["ci_low"], test["ci_high"]) if test else ""
        told.append(
            f"{found.experiment}: {found.parameter} = {value} is best on validation"
            f" ({metric.level(val['mean'])}, {metric.change(val['delta'])} to {found.reference})"
            + (f"; on test {metric.change(test['delta'])} (95 % interval {spread})." if test else ".")
        )
    return [*told, *dict.fromkeys(found.remark for found in results if found.remark)]


def _last(frame: pd.DataFrame) -> pd.DataFrame:
    """The row of the last value of each series, where its name is written."""
    return frame.loc[frame.groupby("series")["place"].idxmax()] if len(frame) else frame
