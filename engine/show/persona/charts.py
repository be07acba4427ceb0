"""The charts of one persona: the scores, the place among the others, the route and the merge.

Each chart is drawn once as a template and then only filled with rows, because the page shows four of them
at every step from persona to persona. The looks are those of engine/show/charts/looks.py; each mark has its
number in words beside it.
"""

import copy
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from engine.core.wording import count, percent
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.show.charts.looks import GRID, Chart, clicked, room_on_the_right, scale, tips
from engine.show.persona.route import Merge, Route
from engine.show.persona.table import Scored
from engine.stats.verdicts import BETTER, EQUAL, UNCLEAR, WORSE, outcome, verdict
from engine.strategies.clusterings import Clusters

Spec = dict[str, Any]
"""A chart as Vega-Lite, with its rows as data frames under "datasets"."""

_ROWS, _MARKED, _EDGES = "rows", "marked", "edges"
_WEIGHTS_SHOWN: Final = 12
_LABEL: Final = 11
_AXIS: Final = 70  # pixels for the axis below the rows
_MANY: Final = 400  # personas from which marks on the map are small
_BOLD: Final = "looked_at"
_CHOSEN_ROOM: Final = 84  # pixels for "+14.9, chosen" beside the longest bar
_MAP_PIXELS: Final = (440, 264)  # of the map, about, without its padding
_CLEAR_PIXELS: Final = 15  # between a cluster's number and the nearest mark


def score_chart(
    scores: Sequence[Scored],
    *,
    reference: str,
    looked_at: str | None,
    bounds: Collection[str] = (),
    metric: Metric,
) -> Spec:
    """Return one line a variant: the difference to the reference with its interval, in the order given.

    A click on a variant selects it (parameter `chosen`, field `variant`). Bounds are diamonds, the reference
    is a ring at 0, and the variant looked at is set in bold.
    """
    rows = [_score_row(one, reference, bounds, metric) for one in scores if one.delta is not None]
    spec = _filled(_score_template(reference, metric.in_points), 34 * max(1, len(rows)) + _AXIS, rows)
    return _marking(spec, looked_at)


def map_chart(found: Clusters, persona_id: str | None, *, cluster: int | None = None) -> Spec:
    """Return every persona on the map: the own cluster filled, the others as rings, the persona named.

    Without a persona, `cluster` says which one is filled, if any. A click selects a persona (parameter
    `chosen`, field `persona_id`). Each cluster has its number in its middle.
    """
    own = cluster if persona_id is None else found.assignment.get(persona_id)
    rows = pd.DataFrame(
        [
            {
                "persona_id": name,
                "x": x,
                "y": y,
                "cluster": str(found.assignment[name]),
                "kind": "own" if found.assignment[name] == own else "other",
                "colour": BETTER,
            }
            for name, (x, y) in found.places.items()
            if name in found.assignment
        ]
    )
    spec = _filled(_map_template(len(rows) > _MANY), 300, rows)
    spec["datasets"][_MARKED] = rows[rows["persona_id"] == persona_id]
    spec["datasets"][_EDGES] = _clear_places(tuple(zip(rows["cluster"], rows["x"], rows["y"], strict=True)))
    return spec


@lru_cache(maxsize=16)
def _clear_places(marked: tuple[tuple[str, float, float], ...]) -> pd.DataFrame:
    """Where each cluster's number stands: as near its middle as no mark and no other number is in the way."""
    rows = pd.DataFrame(marked, columns=["cluster", "x", "y"])
    marks = rows[["x", "y"]].to_numpy(dtype=float)
    low = marks.min(axis=0)
    pixels = np.array(_MAP_PIXELS) / np.maximum(marks.max(axis=0) - low, 1e-9)
    taken, found = (marks - low) * pixels, []
    for cluster, held in rows.groupby("cluster"):
        middle = (held[["x", "y"]].to_numpy(dtype=float).mean(axis=0) - low) * pixels
        around = np.clip(middle + _RINGS, 0, _MAP_PIXELS)
        place, room = around[0], -1.0
        for one in around:
            apart = ((taken - one) ** 2).sum(axis=1).min()
            place, room = (one, apart) if apart > room else (place, room)
            if room >= _CLEAR_PIXELS**2:
                break
        taken = np.vstack([taken, place])
        found.append((cluster, *(place / pixels + low)))
    return pd.DataFrame(found, columns=["cluster", "x", "y"])


_TURNS = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_RINGS: Final = np.vstack(  # the middle itself, then rings around it, the nearest first
    [
        np.zeros((1, 2)),
        *(radius * np.column_stack([np.cos(_TURNS), np.sin(_TURNS)]) for radius in range(5, 125, 5)),
    ]
)


def route_chart(route: Route) -> Spec:
    """Return each candidate's gain over the fallback on val, and the margin it had to beat as a line."""
    metric = METRICS[route.metric]
    factor = metric.sign * metric.factor
    rows = [
        {
            "variant": one.variant,
            "gain": factor * one.gain,
            "words": metric.change(metric.sign * one.gain)
            + (", chosen" if one.variant == route.variant else ""),
            "verdict": BETTER if one.variant == route.variant else WORSE if one.gain < 0 else EQUAL,
            "mean": metric.level(one.mean),
        }
        for one in route.candidates
        if one.gain is not None
    ]
    spec = _filled(_route_template(route.fallback, metric.in_points), 28 * max(1, len(rows)) + _AXIS, rows)
    spec["datasets"][_EDGES] = pd.DataFrame({"margin": [factor * route.margin]})
    return _marking(spec, route.variant)


def weight_chart(merge: Merge, persona_id: str) -> Spec:
    """Return how much of whose adapter went in: one bar an adapter, the smallest in one bar together."""
    rest = merge.weights[_WEIGHTS_SHOWN:]
    rows = [
        _weight_row(f"{name} (own)" if name == persona_id else name, weight, own=name == persona_id)
        for name, weight in merge.weights[:_WEIGHTS_SHOWN]
    ]
    if rest:
        together = sum(weight for _, weight in rest)
        rows.append(_weight_row(f"{count(len(rest), 'other')}, together", together, own=False))
    return _filled(_weight_template(), 26 * max(1, len(rows)) + _AXIS, rows)


# --- rows


def _score_row(one: Scored, reference: str, bounds: Collection[str], metric: Metric) -> dict[str, Any]:
    factor, better, delta = metric.factor, metric.higher_is_better, one.delta or 0.0
    low = delta if one.ci_low is None else one.ci_low
    high = delta if one.ci_high is None else one.ci_high
    word = verdict({"ci_low": one.ci_low, "ci_high": one.ci_high}, higher_is_better=better)
    words = metric.change(delta)
    way = outcome(delta, higher_is_better=better)
    is_reference = one.variant == reference
    return {
        "variant": one.variant,
        "difference": factor * delta,
        "low": factor * low,
        "high": factor * high,
        "verdict": EQUAL if word == UNCLEAR or is_reference else word,
        "kind": "reference" if is_reference else "bound" if one.variant in bounds else "variant",
        "mean": metric.level(one.mean),
        "words": f"{words}, {way}",
        "label": "reference" if is_reference else words,
        "interval": metric.spread(low, high),
        "examples": f"{one.higher} higher, {one.same} same, {one.lower} lower",
    }


def _weight_row(name: str, weight: float, *, own: bool) -> dict[str, Any]:
    words = percent(weight, 0 if weight >= 0.1 else 1)
    return {"name": name, "percent": 100 * weight, "words": words, "kind": BETTER if own else "amount"}


# --- templates


def _filled(template: Spec, height: int, rows: pd.DataFrame | list[dict[str, Any]]) -> Spec:
    """Return a copy of a template with its rows, in their order."""
    spec = copy.deepcopy(template)
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    spec["height"] = height
    spec["datasets"] = {_ROWS: frame.assign(place=range(len(frame)))}
    return spec


def _marking(spec: Spec, name: str | None) -> Spec:
    """Set the name that stands in bold on the axis."""
    for parameter in spec["params"]:
        if parameter["name"] == _BOLD:
            parameter["value"] = name or ""
    return spec


def _as_template(chart: Chart) -> Spec:
    found: Spec = chart.to_dict(validate=False)  # tests hold charts against the schema
    return found


def _names(field: str = "variant:N", *, bold: bool = True) -> alt.Y:
    """The vertical axis of names in the order of the rows."""
    test = f"datum.value === {_BOLD}"
    weight: Any = alt.condition(test, alt.value("bold"), alt.value("normal")) if bold else alt.Undefined
    axis = alt.Axis(
        labelLimit=190,
        labelFlush=False,
        labelOverlap=False,
        domain=False,
        ticks=False,
        labelFontWeight=weight,
    )
    return alt.Y(field, sort=alt.EncodingSortField("place", op="min"), title=None, axis=axis)


def _named(name: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=name))


@lru_cache(maxsize=64)
def _score_template(reference: str, in_points: bool) -> Spec:
    title = f"Difference to {reference}, {'points' if in_points else 'in the unit of the metric'}"
    colour = alt.Color("verdict:N", scale=scale(), legend=None)
    told = {"words": "Difference", "interval": "95 % interval", "examples": "Examples"}
    tooltip = tips(variant="Variant", mean="Mean here", **told)
    base = _named(_ROWS).encode(y=_names(), tooltip=tooltip)
    zero = (
        alt.Chart(pd.DataFrame({"zero": [0.0]}))
        .mark_rule(color=GRID, strokeDash=[3, 3], aria=False)
        .encode(x="zero:Q")
    )
    lines = base.mark_rule(strokeWidth=2, aria=False).encode(
        x=alt.X("low:Q", title=title, axis=alt.Axis(tickCount=6), scale=alt.Scale(padding=20)),
        x2="high:Q",
        color=colour,
    )
    kinds = alt.Scale(domain=["variant", "bound", "reference"], range=["circle", "diamond", "circle"])
    dots = base.mark_point(size=90, opacity=1, strokeWidth=2, cursor="pointer").encode(
        x="difference:Q",
        color=colour,
        fill=alt.condition("datum.kind !== 'reference'", colour, alt.value("transparent")),
        shape=alt.Shape("kind:N", scale=kinds, legend=None),
    )
    labels = base.mark_text(dy=-11, fontSize=_LABEL).encode(x="difference:Q", text="label:N", color=colour)
    dots = dots.add_params(clicked("variant"))
    return _as_template(alt.layer(zero, lines, dots, labels).add_params(alt.param(name=_BOLD, value="")))


@lru_cache(maxsize=2)
def _map_template(many: bool) -> Spec:
    hidden = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
    room = alt.Scale(zero=False, padding=18)
    x = alt.X("x:Q", axis=hidden, title=None, scale=room)
    y = alt.Y("y:Q", axis=hidden, title=None, scale=room)
    blue = alt.Color("colour:N", scale=scale(), legend=None)
    tooltip = tips(persona_id="Persona", cluster="Cluster")
    base = _named(_ROWS).encode(x=x, y=y, tooltip=tooltip)
    rings = base.transform_filter("datum.kind === 'other'").mark_point(
        size=28 if many else 60, filled=False, color=GRID, opacity=0.75
    )
    own = base.transform_filter("datum.kind === 'own'").mark_point(
        size=34 if many else 70, filled=True, opacity=0.95
    )
    numbers = _named(_EDGES).mark_text(fontSize=18, fontWeight="bold", color=GRID, opacity=0.55)
    marked = _named(_MARKED).encode(x=x, y=y, color=blue)
    halo = marked.mark_point(size=260, strokeWidth=2.5, filled=False, opacity=1)
    name = marked.mark_text(dy=20, fontSize=12, fontWeight="bold").encode(text="persona_id:N")
    target = base.mark_point(size=160, filled=True, opacity=0, cursor="pointer")
    return _as_template(
        alt.layer(
            numbers.encode(x=x, y=y, text="cluster:N"),
            rings,
            own.encode(color=blue),
            halo,
            name,
            target.add_params(clicked("persona_id")),
        )
    )


@lru_cache(maxsize=64)
def _route_template(fallback: str, in_points: bool) -> Spec:
    title = f"Gain over {fallback} on validation{', points' if in_points else ''}"
    colour = alt.Color("verdict:N", scale=scale(), legend=None)
    base = _named(_ROWS).encode(
        y=_names(),
        x=alt.X("gain:Q", title=title, axis=alt.Axis(tickCount=5), scale=alt.Scale(padding=_CHOSEN_ROOM)),
        tooltip=tips(variant="Variant", mean="Validation mean", words="Gain"),
    )
    bars = base.mark_bar(height={"band": 0.5}, cornerRadiusEnd=2).encode(color=colour)
    label = base.encode(text="words:N", color=colour)
    right = label.transform_filter("datum.gain >= 0").mark_text(align="left", dx=5, fontSize=_LABEL)
    left = label.transform_filter("datum.gain < 0").mark_text(align="right", dx=-5, fontSize=_LABEL)
    line = _named(_EDGES).mark_rule(color=GRID, strokeDash=[3, 3], aria=False).encode(x="margin:Q")
    chart = alt.layer(bars, line, right, left)
    return _as_template(chart.add_params(alt.param(name=_BOLD, value="")))


@lru_cache(maxsize=1)
def _weight_template() -> Spec:
    base = _named(_ROWS).encode(
        y=_names("name:N", bold=False),
        x=alt.X(
            "percent:Q", title="Share of the merge, %", scale=room_on_the_right(52),
            axis=alt.Axis(grid=False, tickCount=4),
        ),
        color=alt.Color("kind:N", scale=scale(), legend=None),
        tooltip=tips(name="Adapter of", words="Share"),
    )  # fmt: skip
    bars = base.mark_bar(height={"band": 0.55}, cornerRadiusEnd=2)
    labels = base.mark_text(align="left", dx=5, fontSize=_LABEL).encode(text="words:N")
    return _as_template(alt.layer(bars, labels))
