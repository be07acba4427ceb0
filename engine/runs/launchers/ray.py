"""The launcher "ray": runs divided over an existing Ray cluster. Owns what such a run must be told.

The driver (ray_driver.py) is the run's worker on this machine, with supervisor, heartbeat, log and cancelling
as for any run; the work is done by tasks on the cluster (ray_tasks.py), in the run's folder on a shared path.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from engine.core.errors import EngineError
from engine.core.machine import Machine

WORKER = "engine work-on-ray"


def told(machine: Machine) -> dict[str, Any]:
    """Return what the run's driver needs. Raises EngineError without Ray or without an address."""
    if not installed():
        raise EngineError(
            "Ray is not installed, and this run is to be executed by it.",
            "Install it: make setup-ray. Or run here: --launcher local",
        )
    if not machine.ray_address:
        raise EngineError(
            "The address of the Ray cluster is missing.",
            "Give it: --ray-address HOST:6379, or auto for the cluster that this machine belongs to.",
        )
    return {
        "address": machine.ray_address,
        "cpus": machine.ray_cpus,
        "gpus": machine.ray_gpus,
        "tasks": machine.ray_tasks,
    }


def installed() -> bool:
    """Say whether the ray package is there; loads nothing."""
    return importlib.util.find_spec("ray") is not None
