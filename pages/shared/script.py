"""What the app runs at each click: the frame, and in it the page that the address asks for."""

import engine  # noqa: F401 - first: it sees to libraries that `python -OO` would break
from pages.shared import dock, drawing, frame

with drawing.drawn():
    page = frame.draw()
    dock.show()
    page.run()
