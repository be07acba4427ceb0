"""What a chart shows, as a table: for whoever goes by key or by ear, and whoever wants the number."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from engine.show.charts.looks import Chart, parts

_LOOKS = (
    "colour",
    "kind",
    "looked_at",
    "size",
    "bold",
    "label",
    "words",
)  # columns that only say how it is drawn


def menu(drawn: Chart | dict[str, Any], *, alt: str, key: str) -> None:
    """Offer the chart's numbers; the table is made when it is opened."""
    place = st.popover(
        "Numbers", icon=":material/table_rows:", type="tertiary", key=f"numbers_{key}", on_change="rerun"
    )
    if place.open:
        from pages.shared import frame  # it draws this

        with place:
            frame.table(of_chart(drawn), alt=f"Numbers of: {alt}", height="content")


def of_chart(drawn: Chart | dict[str, Any]) -> pd.DataFrame:
    """Return the rows that a chart draws: of its tables the one with the most, without what is only looks."""
    rows = max(_tables(drawn), key=len, default=pd.DataFrame())
    shown = rows.drop(columns=[name for name in rows if str(name) in _LOOKS])
    return shown.rename(columns=lambda name: str(name).replace("_", " ").capitalize()).head(1000)


def _tables(drawn: Any) -> Iterator[pd.DataFrame]:
    """Every table of a chart, or of a specification with its tables under "datasets"."""
    if isinstance(drawn, dict):
        held = [*drawn.get("datasets", {}).values(), drawn.get("data")]
    else:
        held = [part.data for part in parts(drawn)]
    yield from (one for one in held if isinstance(one, pd.DataFrame))
