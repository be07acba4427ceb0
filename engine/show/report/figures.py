"""Charts as files: SVG and PNG, drawn without a browser and without a network. Owns their look on paper.

The colours are those of the app's light theme, so that a word has one colour everywhere.
"""

import io
import json
import re
import textwrap
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from engine.show.charts.looks import Chart

Spec = dict[str, Any]

WIDTH = 680
_FONT = "Helvetica Neue, Arial, Liberation Sans, sans-serif"
_INK, _GRID = "#3a464d", "#e4e8ea"
_PNG_SCALE = 2.0
_TITLE_LETTERS = 92  # as many as stand on a line


def as_svg(chart: Chart | Spec, *, title: str = "", under: str = "") -> str:
    """Return the chart as SVG, with a title and a line `under` it; the same chart gives the same text."""
    written = io.StringIO()
    _styled(_read(chart), title, under).save(written, format="svg")
    return _renumbered(written.getvalue())


def as_png(chart: Chart | Spec, *, title: str = "", under: str = "") -> bytes:
    """Return the chart as PNG, in twice its size in pixels; otherwise as `as_svg`."""
    written = io.BytesIO()
    _styled(_read(chart), title, under).save(written, format="png", scale_factor=_PNG_SCALE)
    return written.getvalue()


def _read(chart: Chart | Spec) -> Chart:
    """A chart of its own, also from a specification whose data sets are data frames."""
    if not isinstance(chart, dict):
        return chart
    sets = {
        name: json.loads(rows.to_json(orient="records")) if isinstance(rows, pd.DataFrame) else rows
        for name, rows in chart.get("datasets", {}).items()
    }
    read: Any = alt.Chart.from_dict({**chart, "datasets": sets})
    return read


def _renumbered(svg: str) -> str:
    """Number an SVG's inner references from 1; the renderer counts on from chart to chart."""
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        name = numbers.setdefault(found[2], f"{found[3]}{len(numbers) + 1}")
        return f"{found[1]}{name}"

    return re.sub(r"""(\bid=["']|url\(["']?#)((clip|gradient)\w*?\d+)\b""", number, svg)


def _styled(chart: Chart, title: str, under: str) -> Chart:
    words = {"labelFont": _FONT, "titleFont": _FONT, "labelColor": _INK, "titleColor": _INK}
    if title:
        lines = textwrap.wrap(title, _TITLE_LETTERS)
        told = alt.TitleParams(lines, subtitle=under or alt.Undefined, anchor="start", offset=14, color=_INK)
        chart = chart.properties(title=told)
    return (
        chart.properties(width=WIDTH, background="white", padding=8)
        .configure_range(
            category=_colours("chartCategoricalColors"), diverging=_colours("chartDivergingColors")
        )
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=_GRID, domainColor=_GRID, tickColor=_GRID, titleFontWeight="normal", **words
        )
        .configure_legend(**words)
        .configure_text(font=_FONT)
    )


_APP_SETTINGS = Path(__file__).resolve().parents[1] / "streamlit.toml"  # the app's own, by a link


@cache
def _colours(name: str) -> list[str]:
    """The light theme's colours of one kind; the categorical ones in the order of the charts' words."""
    with _APP_SETTINGS.open("rb") as file:
        found: list[str] = tomllib.load(file)["theme"]["light"][name]
    return found
