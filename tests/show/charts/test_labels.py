"""Charts as they are drawn: no word is cut off, no number lies on a mark, no tick between two steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import vl_convert

from engine.domains.metrics import METRICS
from engine.show.charts.cost import cost_chart, tradeoff_table
from engine.show.charts.looks import Chart
from engine.show.charts.losses import loss_chart, loss_table
from engine.show.charts.shares import share_chart
from engine.show.persona import charts as persona_charts
from engine.show.persona.route import Candidate, Merge, Route
from engine.show.report.figures import _read, as_png, as_svg
from engine.strategies.clusterings import Clusters

_LETTER = 0.58  # of the font's size, on average
LONG = "unified+retrieval-3"


def _scene(chart: Any, width: int) -> dict[str, Any]:
    spec = _read(chart).to_dict()
    return vl_convert.vegalite_to_scenegraph({**spec, "width": width})["scenegraph"]  # type: ignore[no-any-return]


def _items(scene: Any, kind: str, role: str) -> Iterator[dict[str, Any]]:
    if isinstance(scene, dict):
        if scene.get("marktype") == kind and str(scene.get("role", "")).startswith(role):
            yield from scene["items"]
        for value in scene.values():
            yield from _items(value, kind, role)
    elif isinstance(scene, list):
        for value in scene:
            yield from _items(value, kind, role)


def _ends(item: dict[str, Any]) -> tuple[float, float]:
    """Where a text begins and ends, in pixels of the view."""
    size = _LETTER * float(item.get("fontSize", 11)) * len(str(item["text"]))
    at = float(item.get("x", 0)) + float(item.get("dx", 0))
    before = {"left": 0.0, "right": size}.get(item.get("align", "left"), size / 2)
    return at - before, at - before + size


def _route() -> Route:
    names = (LONG, "hybrid", "unified")
    gains = (0.149, -0.067, 0.0)
    known = tuple(Candidate(name, 0.5 + gain, gain, 9) for name, gain in zip(names, gains, strict=True))
    return Route("routing-00000000", LONG, "unified", 0.01, "embedding_similarity", known)


def _row(name: str, mean: float, delta: float) -> dict[str, Any]:
    return {
        "variant": name, "mean": mean, "delta": delta, "ci_low": delta - 0.01, "ci_high": delta + 0.01,
        "p_holm": 0.001, "role": "", "n_paired": 9,
    }  # fmt: skip


def _costs() -> Chart:
    rows = [_row("base", 0.5, -0.3), _row("unified", 0.7, 0.0), _row(LONG, 0.9, 0.2)]
    costs: dict[str, float | None] = {"base": 0.0, "unified": 4e5, LONG: 9e5}
    score = METRICS["embedding_similarity"]
    table = tradeoff_table(rows, costs, cost="parameters", metric=score)
    return cost_chart(table, cost="parameters", metric=score)


def _merge() -> Merge:
    return Merge("merge", "merge", "nearest", "exact", 2.0, (("p2", 0.27), ("p1", 0.25), ("p3", 0.04)))


@pytest.mark.parametrize(
    "chart",
    [
        pytest.param(lambda: persona_charts.route_chart(_route()), id="route"),
        pytest.param(lambda: persona_charts.weight_chart(_merge(), "p1"), id="merge"),
        pytest.param(lambda: share_chart({"tv": 0.27, "lights": 0.05}, title="Share, %"), id="shares"),
        pytest.param(_costs, id="costs"),
    ],
)
@pytest.mark.parametrize("width", [240, 620])
def test_no_word_beside_a_mark_is_cut_off(chart: Any, width: int) -> None:
    texts = list(_items(_scene(chart(), width), "text", "mark"))
    assert texts
    for item in texts:
        begins, ends = _ends(item)
        assert -2 <= begins < ends <= width + 2, (item["text"], begins, ends)


def test_a_cluster_s_number_stands_where_no_mark_is() -> None:
    draw = np.random.default_rng(3)
    places = {f"p{n:02d}": (float(x), float(y)) for n, (x, y) in enumerate(draw.normal(size=(60, 2)))}
    found = Clusters(assignment={name: n % 4 for n, name in enumerate(places)}, map=places)
    spec = persona_charts.map_chart(found, None)
    rows, numbers = (spec["datasets"][name] for name in ("rows", "edges"))
    assert sorted(numbers["cluster"]) == ["0", "1", "2", "3"]
    span = rows[["x", "y"]].max() - rows[["x", "y"]].min()
    pixels = np.array([440, 264]) / span.to_numpy()
    marks, told = (table[["x", "y"]].to_numpy() * pixels for table in (rows, numbers))
    assert np.linalg.norm(told[:, None] - marks[None], axis=2).min() >= 14
    between = np.linalg.norm(told[:, None] - told[None], axis=2) + 99 * np.eye(len(told))
    assert between.min() >= 14


def test_an_axis_of_counts_begins_with_a_bare_zero() -> None:
    said = [str(one["text"]) for one in _items(_scene(_costs(), 700), "text", "axis-label")]
    assert "0" in said
    assert not [one for one in said if one.startswith("0") and one[1:].isalpha() and len(one) > 1]


def test_an_axis_of_steps_has_whole_ticks() -> None:
    events = [
        {"kind": "loss", "step": step, "epoch": 1, "t": 1.0, "split": "train", "loss_nats": 2.0 - 0.1 * step}
        for step in (1, 2, 3)
    ]
    scene = _scene(loss_chart(loss_table(events)), 620)
    labels = [str(item["text"]) for item in _items(scene, "text", "axis-label")]
    assert {"1", "2", "3"} <= set(labels)
    assert not {"1.5", "2.5"} & set(labels), json.dumps(labels)


@pytest.mark.parametrize(
    "chart", [_costs, lambda: persona_charts.route_chart(_route())], ids=["chart", "spec"]
)
def test_a_saved_chart_has_its_title_what_it_holds_under_and_the_date(chart: Any) -> None:
    told = {"title": "Gain of each candidate & its <cost>", "under": "val, protocol 0ee54bf1a4a6, 2026-01-05"}
    svg = as_svg(chart(), **told)
    assert "Gain of each candidate &amp; its &lt;cost&gt;" in svg
    assert told["under"] in svg
    assert as_png(chart(), **told).startswith(b"\x89PNG")
    assert told["under"] not in as_svg(chart())
