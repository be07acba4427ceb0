"""How often are the statistics right? Shows docs/statistics.md, which a simulation wrote."""

import streamlit as st

from engine.core.paths import REPOSITORY
from pages.shared import frame

_PAGE = REPOSITORY / "docs" / "statistics.md"


def show() -> None:
    with st.container(key="page_back"):
        st.page_link(frame.COMPARE, label="Compare", icon=":material/arrow_back:")
    if not _PAGE.exists():
        frame.heading("Statistics, checked", "How often are the intervals and tests right?")
        st.markdown("The simulation has not been run here. It takes a few minutes on one core:")
        frame.show_command(".venv/bin/python bench/simulate.py --write")
        return
    with st.container(key="statistics"):
        st.markdown(_PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    frame.run(show)
