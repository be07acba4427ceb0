"""`python -m engine`: the command line."""

from __future__ import annotations

from engine.cli import run

run()
