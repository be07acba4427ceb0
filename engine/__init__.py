"""Persona Lab's engine: everything the app and the command line do, without a user interface."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.core.errors import EngineError as EngineError
    from engine.face import Study as Study
    from engine.face import create as create
    from engine.face import open as open

if sys.flags.optimize > 1:  # python -OO
    from engine.core import undocumented

    undocumented.load_charts()

_FACE = ("open", "create", "Study", "EngineError")


def __getattr__(name: str) -> Any:
    """Load what Python users call, engine/face.py, when it is first asked for."""
    if name not in _FACE:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    from engine import face

    return getattr(face, name)
