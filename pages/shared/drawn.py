"""The parts of pages that the browser draws: markup, style and script of each, put together in one place.

Every script finds `make` (make.js) before its own lines.
"""

from pathlib import Path
from typing import Any

import streamlit as st

_MAKE = Path(__file__).with_name("make.js")


def drawn(name: str, beside: str, *, html: str) -> Any:
    """Declare a part whose style and script lie beside a module (its `__file__`), as NAME.css and NAME.js."""
    style, script = (Path(beside).with_name(f"{name}{end}").read_text("utf-8") for end in (".css", ".js"))
    return st.components.v2.component(name, html=html, css=style, js=_MAKE.read_text("utf-8") + script)
