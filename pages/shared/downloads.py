"""What a page offers to take away: a chart as SVG and PNG, a table as CSV, Parquet and LaTeX.

The one menu of its kind beside every chart and table. A file is made when it is asked for, never before.
"""

import io
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from engine.show import tables
from engine.show.charts.looks import Chart
from engine.show.report import figures

_ABOUT = "downloads_about"
_WORDS = {"csv": "CSV", "parquet": "Parquet", "tex": "LaTeX"}


def tell(about: str) -> None:
    """Say what the charts of this page hold under (metric, split, protocol): it stands in their files."""
    st.session_state[_ABOUT] = about


def chart_menu(drawn: Callable[[], Chart | dict[str, Any]], *, alt: str, key: str) -> None:
    """Offer a chart as files with its title (`alt` up to what can be done with it), what it holds under and
    the date."""
    title, about = alt.partition(";")[0], st.session_state.get(_ABOUT, "")
    name = f"{_named(title)}.{{}}"
    with _menu("Save chart", key=f"save_{key}"):
        for form, mime, make in (
            ("svg", "image/svg+xml", figures.as_svg),
            ("png", "image/png", figures.as_png),
        ):
            st.download_button(
                form.upper(), partial(_figure, make, drawn, title, about), file_name=name.format(form),
                mime=mime, key=f"save_{key}_{form}", on_click="ignore", width="stretch",
            )  # fmt: skip


def table_menu(
    make: Callable[[], pd.DataFrame], *, name: str, key: str, paper: Callable[[], str] | None = None
) -> None:
    """Offer a table as files. `make` makes it when asked for, `paper` its LaTeX where that is another."""
    with _menu("Save table", key=f"save_{key}"):
        for form in tables.FORMS:
            st.download_button(
                _WORDS[form], partial(_table, make, form, paper), file_name=f"{_named(name)}.{form}",
                mime=tables.MIME[form], key=f"save_{key}_{form}", on_click="ignore", width="stretch",
            )  # fmt: skip


def file(label: str, make: Callable[[], bytes | str], *, name: str, mime: str, key: str, **told: Any) -> None:
    """Offer one file."""
    st.download_button(
        label, make, file_name=name, mime=mime, key=key, icon=":material/download:", on_click="ignore", **told
    )


def zipped(folder: Path, *, inside: str) -> bytes:
    """Return a folder as one archive, below a folder named `inside`: the same files give the same bytes."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(str(Path(inside) / path.relative_to(folder)))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return held.getvalue()


def _menu(label: str, *, key: str) -> Any:
    return st.popover(label, icon=":material/download:", type="tertiary", key=key)


def _figure(
    make: Callable[..., str | bytes], drawn: Callable[[], Chart | dict[str, Any]], title: str, about: str
) -> str | bytes:
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    return make(drawn(), title=title, under=", ".join(part for part in (about, when) if part))


def _table(make: Callable[[], pd.DataFrame], form: tables.Form, paper: Callable[[], str] | None) -> bytes:
    return tables.written(make(), form, paper=paper)


@cache
def _named(words: str) -> str:
    """A file's name of some words."""
    return "-".join(re.findall(r"[a-z0-9]+", words.lower()))[:60].strip("-") or "file"
