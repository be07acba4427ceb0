"""What the app runs at each click: the frame, and in it the page that the address asks for."""

from __future__ import annotations

from pages.shared import frame

frame.draw().run()
