"""The decision tree as a picture that can be clicked: boxes with states, gains and times, and lines between.

What is drawn comes from results/study/picture.py; how, from tree_map.js and tree_map.css beside this file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

DETAIL = "home_detail"  # the container that tells about a chosen box; tree_map.js knows it by this name
_HERE = Path(__file__).resolve().parent
_map = st.components.v2.component(
    "tree_map",
    html='<div class="map" role="group" aria-label="Decision tree"></div>',
    css=(_HERE / "tree_map.css").read_text(encoding="utf-8"),
    js=(_HERE / "tree_map.js").read_text(encoding="utf-8"),
)


def show(picture: dict[str, Any], *, key: str, on_choose: Callable[[str], None]) -> None:
    """Draw the tree; `on_choose` is called with a node's id when its box is clicked."""

    def clicked() -> None:
        chosen = st.session_state[key].get("chosen")
        if isinstance(chosen, str):
            on_choose(chosen)

    _map(key=key, data=picture, on_chosen_change=clicked)
