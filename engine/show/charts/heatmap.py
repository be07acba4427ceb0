"""Which variant helps which persona? Every variant against the reference, one cell a persona."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import altair as alt
import numpy as np
import pandas as pd

from engine.domains.metric import Metric
from engine.show.charts.looks import GRID, Chart, clicked, made_once, tips

HEATMAP_PERSONAS: Final = 400  # columns at a time; beyond it a cell has no width left
_NUMBERED = 24  # personas up to which each cell shows its number
_ROW_PIXELS = 22
_LEGEND_PIXELS = 64
_ROOM_PIXELS = 30  # of a column that holds a number
_STRONG = 0.55  # of the reach of the colours: from here on a cell takes the other ink
_INKS: Final = {False: ("#ffffff", "#2b3a43"), True: ("#12171b", "#e3e8ea")}  # strong and weak cells
_CLAMPED = 0.98  # the share of cells within the colours' range; the rest has the last colour

Order = Literal["difference", "mean", "cluster", "name"]


def ordered_personas(
    frame: pd.DataFrame, by: Order, *, candidate: str, clusters: Mapping[str, int] | None = None
) -> list[str]:
    """Return the personas of `frame` (variant, persona_id, difference) in an order of columns, best first.

    "difference" is that of `candidate`, "mean" over all variants, "cluster" by number and within it by the
    candidate's difference. Personas without a value come last.
    """
    names = sorted(frame["persona_id"].unique())
    if by == "name":
        return names
    held = frame if by == "mean" else frame[frame["variant"] == candidate]
    values = held.groupby("persona_id")["difference"].mean()
    worth = {name: float(values.get(name, -np.inf)) for name in names}
    if by == "cluster" and clusters:
        last = max(clusters.values()) + 1
        return sorted(names, key=lambda name: (clusters.get(name, last), -worth[name], name))
    return sorted(names, key=lambda name: (-worth[name], name))


@made_once
def heatmap(
    frame: pd.DataFrame,
    *,
    variants: Sequence[str],
    personas: Sequence[str],
    clusters: Mapping[str, int] | None = None,
    metric: Metric,
    dark: bool = False,
) -> Chart:
    """Return one cell a variant and persona, coloured by the difference to the reference; blank: not scored.

    `frame` holds variant, persona_id, candidate, difference (fractions); where it has `called`, that is
    what a persona is called. A click selects a cell (`chosen`,
    fields `persona_id` and `variant`). With `clusters` their borders and numbers are drawn, for columns that
    are sorted by them. `dark` says that the page is dark, where strong colours are the light ones.
    """
    shown = frame[frame["persona_id"].isin(list(personas)) & frame["variant"].isin(list(variants))]
    shown = shown.assign(
        difference=metric.factor * shown["difference"],
        words=[metric.change(value) for value in shown["difference"]],
        mean_words=[metric.level(value) for value in shown["candidate"]],
        cluster=[_cluster_word(clusters, name) for name in shown["persona_id"]],
    )
    few = len(personas) <= _NUMBERED
    x, y = _axes(variants, personas, few=few)
    cells = (
        alt.Chart(shown)
        .mark_rect(cursor="pointer")
        .encode(x=x, y=y, color=_colour(shown, metric), tooltip=_tooltip(shown, clusters))
        .add_params(clicked("persona_id", "variant"))
    )
    layers = [cells]
    if few:
        strong = f"abs(datum.difference) > {_STRONG * _reach(shown['difference'])}"
        ink = alt.condition(strong, *map(alt.value, _INKS[dark]))
        roomy = alt.expr(f"bandwidth('x') < {_ROOM_PIXELS} ? 0 : 1")  # a telephone shows colours alone
        text = alt.Chart(shown).mark_text(fontSize=10, cursor="pointer", opacity=roomy)
        layers.append(text.encode(x=x, y=y, text="words:N", color=ink))
    if clusters:
        layers += _borders(personas, clusters, x)
    height = _ROW_PIXELS * max(1, len(variants)) + _LEGEND_PIXELS + (80 if few else 24)
    return alt.layer(*layers).properties(height=height)


def _axes(variants: Sequence[str], personas: Sequence[str], *, few: bool) -> tuple[alt.X, alt.Y]:
    """Columns in the personas' order, by name where they are few; a row each variant."""
    x = alt.X(
        "persona_id:N",
        sort=list(personas),
        scale=alt.Scale(domain=list(personas), paddingInner=0.04 if few else 0),
        title=None if few else "Personas",
        axis=alt.Axis(labels=few, ticks=False, domain=False, labelAngle=-90, labelLimit=90, grid=False),
    )
    y = alt.Y(
        "variant:N",
        sort=list(variants),
        scale=alt.Scale(domain=list(variants), paddingInner=0.08),
        title=None,
        axis=alt.Axis(
            labelLimit=190, labelOverlap=False, labelFlush=False, domain=False, ticks=False, grid=False
        ),
    )
    return x, y


def _cluster_word(clusters: Mapping[str, int] | None, persona: str) -> str:
    return str(clusters[persona]) if clusters and persona in clusters else "none"


def _tooltip(frame: pd.DataFrame, clusters: Mapping[str, int] | None) -> list[alt.Tooltip]:
    who = {"called" if "called" in frame else "persona_id": "Persona"}
    shown = tips(**who, variant="Variant", words="Difference", mean_words="Its mean")
    return [*shown, alt.Tooltip("cluster:N", title="Cluster")] if clusters else shown


def _reach(differences: pd.Series) -> float:
    """How far the colours reach on both sides of 0: nearly all cells, and never nothing."""
    sizes = differences.abs().to_numpy(dtype=float)
    return float(np.quantile(sizes, _CLAMPED)) or 1.0 if len(sizes) else 1.0


def _colour(shown: pd.DataFrame, metric: Metric) -> alt.Color:
    reach = _reach(shown["difference"])
    ticks = "+.0f" if reach >= 3 else "+.2f"
    unit, reverse = ", points" if metric.in_points else "", metric.higher_is_better is False
    ends = "+ worse, \N{MINUS SIGN} better" if reverse else "\N{MINUS SIGN} worse, + better"
    return alt.Color(
        "difference:Q",
        scale=alt.Scale(
            range="diverging",
            interpolate="rgb",  # through grey; the default passes through green
            domain=[-reach, reach],
            domainMid=0,
            clamp=True,
            nice=False,
            reverse=reverse,
        ),
        legend=alt.Legend(
            title=f"Difference{unit} ({ends})",
            orient="top",
            gradientLength=160,
            gradientThickness=10,
            labelExpr=f"datum.value == 0 ? '0' : format(datum.value, '{ticks}')",
            titleLimit=400,
            tickCount=5,
        ),
    )


def _borders(personas: Sequence[str], clusters: Mapping[str, int], x: alt.X) -> list[alt.Chart]:
    """Each cluster's number above its columns, and a line where the next begins."""
    groups: dict[str, list[str]] = {}
    for name in personas:
        groups.setdefault(_cluster_word(clusters, name), []).append(name)
    frame = pd.DataFrame(
        [
            {"persona_id": held[0], "middle": held[len(held) // 2], "label": f"cluster {word} ({len(held)})"}
            for word, held in groups.items()
        ]
    )
    first = x.copy()
    first["bandPosition"] = 0
    middle = x.copy()
    middle["shorthand"] = "middle:N"
    rules = alt.Chart(frame.iloc[1:]).mark_rule(color=GRID, strokeWidth=2, aria=False).encode(x=first)
    texts = alt.Chart(frame).mark_text(color=GRID, fontSize=11, baseline="bottom")
    return [rules, texts.encode(x=middle, y=alt.value(-3), text="label:N")]
