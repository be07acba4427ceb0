"""The frame of the app: page settings and navigation. Start it with `make run`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages import frame

_PICTURES = Path(__file__).parent / "pages"

st.set_page_config(page_title="Persona Lab", page_icon=_PICTURES / "mark.svg", layout="wide")
st.logo(_PICTURES / "logo.svg", size="large", icon_image=_PICTURES / "mark.svg")
frame.navigate()
