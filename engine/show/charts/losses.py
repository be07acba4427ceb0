"""Loss curves of one run or of several, laid over each other. Owns their looks; reads no file."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import altair as alt
import pandas as pd

from engine.core.types import Row
from engine.runs.runfolder import losses_once
from engine.show.charts.looks import GRID, Chart, made_once, scale, tips

Along = Literal["step", "epoch", "seconds"]
ALONG: Final[Mapping[Along, str]] = {"step": "Steps", "epoch": "Epochs", "seconds": "Time at work, s"}
OVERLAID: Final = 8  # the theme has eight colours
_POINTS: Final = 400
_COLUMNS: Final = ("step", "epoch", "seconds", "split", "loss_nats", "learning_rate")
_WORDS: Final = {"train": "training", "val": "validation"}
_LOSS: Final = "Loss, nats a token"
_SHORT_NAME = 24  # characters


def loss_table(events: Iterable[Row]) -> pd.DataFrame:
    """Return the loss events of a run: step, epoch, seconds, split ("training", "validation"), loss_nats,
    learning_rate (of training, where it was told)."""
    rows = [
        (
            event["step"],
            event.get("epoch"),
            event.get("t"),
            _WORDS.get(event["split"], event["split"]),
            event["loss_nats"],
            event.get("learning_rate"),
        )
        for event in losses_once(events)
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def thinned(table: pd.DataFrame, *, points: int = _POINTS) -> pd.DataFrame:
    """Return the table with at most about `points` of training, each the mean of neighbours.

    Validation stays whole.
    """
    training = table[table["split"] == "training"]
    if len(training) <= points:
        return table
    bucket = pd.Series(range(len(training)), index=training.index) * points // len(training)
    means = training.drop(columns="split").astype(float).groupby(bucket).mean().assign(split="training")
    return pd.concat([means, table[table["split"] != "training"]], ignore_index=True)


@made_once
def loss_chart(table: pd.DataFrame) -> Chart:
    """Return the loss curve over the steps: a thin line for training, marked points for validation."""
    held = [word for word in ("training", "validation") if (table["split"] == word).any()]
    legend = alt.Legend(values=held, orient="top", title=None, symbolType="stroke")
    base = _base(table, "step", tooltip=tips(split="Loss in"))
    base = base.encode(color=alt.Color("split:N", scale=scale(), legend=legend))
    train = base.transform_filter("datum.split == 'training'").mark_line(strokeWidth=1.5)
    val = base.transform_filter("datum.split != 'training'").mark_line(
        strokeWidth=2, point=alt.OverlayMarkDef(size=60, filled=True)
    )
    return alt.layer(train, val).properties(height=260)


@made_once
def rate_chart(table: pd.DataFrame) -> Chart:
    """Return the learning rate of a loss table over the steps."""
    held = table[table["learning_rate"].notna()]
    y = alt.Y("learning_rate:Q", title="Learning rate", axis=alt.Axis(format="~g", tickCount=4))
    tooltip = [
        alt.Tooltip("step:Q", title=ALONG["step"]),
        alt.Tooltip("learning_rate:Q", title="Rate", format=".3~g"),
    ]
    line = alt.Chart(held).mark_line(strokeWidth=1.5, color=GRID)
    return alt.layer(line.encode(x=_along("step"), y=y, tooltip=tooltip)).properties(height=150)


@made_once
def usage_chart(table: pd.DataFrame, *, field: Literal["memory_gb", "processor"]) -> Chart:
    """Return the memory or the processor that a run took over its time at work (of `curves.usage_table`)."""
    title = {"memory_gb": "Memory, GB", "processor": "Cores busy"}[field]
    y = alt.Y(f"{field}:Q", title=title, scale=alt.Scale(domainMin=0), axis=alt.Axis(tickCount=4))
    tooltip = [
        alt.Tooltip("seconds:Q", title="Seconds", format=",.0f"),
        alt.Tooltip(f"{field}:Q", title=title, format=".2f"),
    ]
    area = alt.Chart(table).mark_area(opacity=0.25, line={"color": GRID, "strokeWidth": 1.5}, color=GRID)
    return alt.layer(area.encode(x=_along("seconds"), y=y, tooltip=tooltip)).properties(height=150)


@made_once
def overlaid_chart(tables: Mapping[str, pd.DataFrame], *, along: Along = "step") -> Chart:
    """Return the curves of several runs: a colour and a sign each, training faint, validation full.

    `tables` maps a run's name on the screen to its loss table, in the order of the legend.
    """
    names = list(tables)
    both = pd.concat([thinned(table).assign(run=name) for name, table in tables.items()], ignore_index=True)
    columns = 1 if max(map(len, names)) > _SHORT_NAME else 2  # long ones beside each other leave a telephone
    rows = -(-len(names) // columns)
    legend = alt.Legend(orient="top", title=None, columns=columns, labelLimit=420, symbolOpacity=1)
    base = _base(both, along, tooltip=tips(run="Run", split="Loss in"))
    base = base.encode(color=alt.Color("run:N", scale=alt.Scale(domain=names), legend=legend))
    train = base.transform_filter("datum.split == 'training'").mark_line(strokeWidth=1, opacity=0.35)
    held_out = base.transform_filter("datum.split != 'training'")
    line = held_out.mark_line(strokeWidth=2.2)
    signs = held_out.mark_point(size=70, filled=True, opacity=1).encode(
        shape=alt.Shape("run:N", scale=alt.Scale(domain=names), legend=legend)
    )
    return alt.layer(train, line, signs).properties(height=300 + 22 * max(0, rows - 1))


def _base(table: pd.DataFrame, along: Along, *, tooltip: list[alt.Tooltip]) -> alt.Chart:
    return alt.Chart(table).encode(
        x=_along(along),
        y=alt.Y("loss_nats:Q", title=_LOSS, scale=alt.Scale(zero=False)),
        tooltip=[
            *tooltip,
            alt.Tooltip("step:Q", title="Step", format=",.0f"),
            alt.Tooltip("epoch:Q", title="Epoch", format=".0f"),
            alt.Tooltip("loss_nats:Q", title="Nats a token", format=".3f"),
        ],
    )


def _along(along: Along) -> alt.X:
    """The axis that curves run along; steps and epochs are whole, so no tick stands between two."""
    whole: dict[str, Any] = {} if along == "seconds" else {"tickMinStep": 1, "format": ",d"}
    return alt.X(f"{along}:Q", title=ALONG[along], axis=alt.Axis(grid=False, tickCount=8, **whole))
