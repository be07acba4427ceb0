"""A step whose module takes its time to load, as model code does, and which says where it was loaded."""

from __future__ import annotations

import os
import time

from engine.runs.context import RunContext
from tests import steps_for_tests

LOADED_BY = os.getpid()
os.environ["SLOW_TO_LOAD"] = "1"  # as some libraries do
time.sleep(1.1)
if "SLOW_TO_LOAD_TORCH" in os.environ:
    import torch  # noqa: F401 - for what a worker then asks it


def count(context: RunContext) -> None:
    """Count, and say which process had loaded this, and which GPU is to be seen."""
    context.event("loaded", by=LOADED_BY, card=os.environ.get("CUDA_VISIBLE_DEVICES"))
    steps_for_tests.count(context)
