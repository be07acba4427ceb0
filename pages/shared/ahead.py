"""What the server does before anybody visits: it loads the modules of all pages, so that no visit has to."""

import gc
from importlib import import_module

from pages.shared import dock as dock
from pages.shared import frame


def load() -> None:
    """Load what the pages of the menu are drawn by. It stays: nobody looks through it for garbage again."""
    for name in frame.modules():
        import_module(name)
    gc.freeze()
