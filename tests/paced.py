"""The catalog with one step for all: it only counts, at the pace that the test wrote into the workspace."""

from __future__ import annotations

from dataclasses import replace

from engine.strategies import registry
from tests.steps_for_tests import at_a_pace

PLACE = "tests.paced:PACED"
PACED = {name: replace(entry, step=at_a_pace) for name, entry in registry.EXPERIMENTS.items()}
