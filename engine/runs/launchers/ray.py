"""The launcher "ray": runs divided over an existing Ray cluster. Owns what such a run must be told, how the
cluster is joined, and the words for one that is not there or has too little. Submits nothing.

The driver (ray_driver.py) is the run's worker on this machine, with supervisor, heartbeat, log and cancelling
as for any run; the work is done by tasks on the cluster (ray_tasks.py), in the run's folder on a shared path.
"""

import importlib.util
import logging
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.errors import EngineError, first_line
from engine.core.machine import MOST_TASKS, Machine

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


CONNECT_SECONDS = 20.0
Resources = Mapping[str, float]
"""How much there is of CPU, GPU ..."""


def connect(address: str) -> Any:
    """Return the ray module, connected to the cluster. Raises EngineError when it is not there."""
    try:
        import ray
    except ImportError as error:
        raise EngineError(
            "Ray is not installed, and this run is to be executed by it.", "Install it: make setup-ray"
        ) from error
    _knock(address)
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # what nodes print comes into a file
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=True, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise _nobody(address, first_line(error)) from error
    finally:
        signal.signal(signal.SIGTERM, on_term)  # Ray's own ends the process before its tasks have stopped
    return ray


def _knock(address: str) -> None:
    """Raise EngineError where nobody listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:  # "auto", "ray://HOST:PORT": Ray knows what they mean
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _nobody(address, str(error)) from error


def _nobody(address: str, reason: str) -> EngineError:
    return EngineError(
        f"There is no Ray cluster at {address}: {reason}",
        "Start it (ray start --head), or join this machine to it: ray start --address HOST:6379.",
    )


def request(launch: Mapping[str, Any], nodes: Sequence[Resources]) -> Resources:
    """Return what each task asks for. Raises EngineError where no node has it."""
    gpus = launch.get("gpus")
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    asked = {"CPU": float(launch.get("cpus") or 1.0)} | ({"GPU": float(gpus)} if gpus else {})
    if not any(_places(node, asked) for node in nodes):
        there = "; ".join(words(node) for node in nodes) or "no node"
        raise EngineError(
            f"No node of the cluster has {words(asked)}: {there}.",
            "Ask for less: --ray-cpus, --ray-gpus. Or add nodes: ray status.",
        )
    return asked


def _places(node: Resources, asked: Resources) -> int:
    return int(min(node.get(name, 0.0) / amount for name, amount in asked.items()))


def fitting(launch: Mapping[str, Any], asked: Resources, nodes: Sequence[Resources]) -> int:
    """Return into how many tasks the run is divided: as asked for, else as many as fit at once."""
    at_once = sum(_places(node, asked) for node in nodes)
    return max(1, min(MOST_TASKS, launch.get("tasks") or at_once))


def words(resources: Resources) -> str:
    """Word what a node has or a task asks for: "4 CPU, 1 GPU"."""
    return ", ".join(f"{resources.get(name, 0.0):g} {name}" for name in ("CPU", "GPU") if name in resources)
