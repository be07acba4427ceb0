"""Persona Lab's engine: everything the app and the command line do, without a user interface."""

from __future__ import annotations

import sys

if sys.flags.optimize > 1:  # python -OO
    from engine.core import undocumented

    undocumented.load_charts()
