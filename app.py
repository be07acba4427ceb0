"""The app: the server that answers for it. Start it with `make run`, or `streamlit run app.py`.

What it runs at each click is pages/shared/script.py. That script has no folder pages/ beside it, so Streamlit
has no pages of its own making, and no page is reached past the frame and its door. What pages read results by
is loaded here, while the server starts, and not in somebody's first visit.
"""

from __future__ import annotations

from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

import engine.show.charts.looks
import engine.show.tables  # noqa: F401
from pages.shared.head import Head
from pages.shared.hosts import Hosts

_SCRIPT = Path(__file__).resolve().parent / "pages" / "shared" / "script.py"

app = App(_SCRIPT, middleware=[Middleware(Hosts), Middleware(Head)])
