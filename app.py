"""The app: the frame around the pages, and the page that the address asks for. Start it with `make run`."""

from __future__ import annotations

import engine  # noqa: F401 - first: it sees to libraries that `python -OO` would break
from pages.shared import frame

frame.draw().run()
