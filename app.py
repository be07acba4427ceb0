"""The app: the frame around the pages, and the page that the address asks for. Start it with `make run`."""

from __future__ import annotations

from pages.shared import frame

frame.draw().run()
