"""Charts as files: SVG and PNG, drawn without a browser and without a network. Owns their look on paper.

The colours are those of the app's light theme, so that a word has one colour everywhere.
"""

from __future__ import annotations

import io
import re
import tomllib
from functools import cache
from pathlib import Path

from engine.show.report.blocks import Chart

WIDTH = 680
_FONT = "Helvetica Neue, Arial, Liberation Sans, sans-serif"
_INK, _GRID = "#3a464d", "#e4e8ea"
_PNG_SCALE = 2.0


def as_svg(chart: Chart) -> str:
    """Return the chart as SVG; the same chart gives the same text."""
    written = io.StringIO()
    _styled(chart).save(written, format="svg")
    return _renumbered(written.getvalue())


def as_png(chart: Chart) -> bytes:
    """Return the chart as PNG, in twice its size in pixels."""
    written = io.BytesIO()
    _styled(chart).save(written, format="png", scale_factor=_PNG_SCALE)
    return written.getvalue()


def _renumbered(svg: str) -> str:
    """Number an SVG's inner references from 1; the renderer counts on from chart to chart."""
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        name = numbers.setdefault(found[2], f"{found[3]}{len(numbers) + 1}")
        return f"{found[1]}{name}"

    return re.sub(r"""(\bid=["']|url\(["']?#)((clip|gradient)\w*?\d+)\b""", number, svg)


def _styled(chart: Chart) -> Chart:
    words = {"labelFont": _FONT, "titleFont": _FONT, "labelColor": _INK, "titleColor": _INK}
    return (
        chart.properties(width=WIDTH, background="white", padding=8)
        .configure_range(category=_colours())
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=_GRID, domainColor=_GRID, tickColor=_GRID, titleFontWeight="normal", **words
        )
        .configure_legend(**words)
        .configure_text(font=_FONT)
    )


_APP_SETTINGS = Path(__file__).resolve().parents[1] / "streamlit.toml"  # the app's own, by a link


@cache
def _colours() -> list[str]:
    """The categorical colours of the light theme, in the order of the charts' words."""
    with _APP_SETTINGS.open("rb") as file:
        found: list[str] = tomllib.load(file)["theme"]["light"]["chartCategoricalColors"]
    return found
