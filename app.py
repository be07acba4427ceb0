"""The app: the server that answers for it. Start it with `make run`, or `streamlit run app.py`.

What it runs at each click is pages/shared/script.py. That script has no folder pages/ beside it, so Streamlit
has no pages of its own making, and no page is reached past the frame and its door. What pages are drawn by is
loaded here, while the server starts, and not in somebody's first visit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from pages.shared.head import Head
from pages.shared.hosts import Hosts

_SCRIPT = Path(__file__).resolve().parent / "pages" / "shared" / "script.py"


@asynccontextmanager
async def _loaded(_: App) -> AsyncIterator[None]:
    """Load the pages once Streamlit's runtime is there, which their components are put down in."""
    from pages.shared import ahead

    ahead.load()
    yield


app = App(_SCRIPT, lifespan=_loaded, middleware=[Middleware(Hosts), Middleware(Head)])
"""What the app runs at each click: the frame, and in it the page that the address asks for."""
