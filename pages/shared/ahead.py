"""What the server does before anybody visits, so that no visit has to: it loads what is the same for all."""

import gc
import inspect
from importlib import import_module

from engine.results.trees import tree_library
from engine.results.trees.tree_check import read_tree_file
from pages.shared import dock as dock
from pages.shared import frame


def load() -> None:
    """Load what the pages of the menu are drawn by. It stays: nobody looks through it for garbage again."""
    for name in frame.modules():
        import_module(name)
    for path in tree_library.SHIPPED.glob("*.yaml"):
        read_tree_file(path)
    inspect.stack()  # Streamlit asks this at its first element: it finds every module's file, once
    gc.freeze()
