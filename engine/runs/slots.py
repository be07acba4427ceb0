"""Where runs may be at work at once: the devices of this machine, and the places on a Ray cluster.

Owns the counting of free slots. Starts nothing; who holds a GPU across workspaces is engine/runs/leases.py's.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from importlib import metadata

from engine.core import secrecy
from engine.core.machine import Machine
from engine.runs.processes import running
from engine.runs.records import RunRecord

CPU = "cpu"
RAY = "ray"
_GPU = "gpu-"
_ANSWER_SECONDS = 20.0
_NOT_INITIALISED = 3  # CUDA_ERROR_NOT_INITIALIZED


def slots(machine: Machine, launcher: str) -> list[str]:
    """Return the device of every slot that a launcher has: one a GPU, else the processor's training slots."""
    if launcher == RAY:
        return [RAY] * machine.ray_runs
    if machine.training_slots == 0:  # paused
        return []
    return list(gpus()) or [CPU] * machine.training_slots


def in_use(machine: Machine, records: Iterable[RunRecord]) -> list[str]:
    """Return the device of every slot of the launchers that unended runs, or the settings, use."""
    used = {record.status.launcher for record in records if not record.ended}
    return [
        device
        for launcher in sorted({machine.launcher, "local", *used})
        for device in slots(machine, launcher)
    ]


def free(machine: Machine, records: Iterable[RunRecord], launcher: str) -> list[str]:
    """Return the devices of the launcher's slots that no run holds, in order."""
    left = slots(machine, launcher)
    used = Counter(
        record.status.device for record in records if record.status.launcher == launcher and busy(record)
    )
    unknown = 0
    for device, number in used.items():
        for _ in range(number):
            if device in left:
                left.remove(device)
            else:
                unknown += 1  # started under other settings, and still at work
    return left[unknown:]


def busy(record: RunRecord) -> bool:
    """Say whether a run takes a slot: also by a worker that has said its last word and is on its way out."""
    return record.state == "running" or running(record.status.worker)


def is_gpu(device: str) -> bool:
    """Say whether a slot's device is a GPU, for which a lease is needed."""
    return device.startswith(_GPU)


def environment(device: str) -> dict[str, str]:
    """Return what a process must find in its environment to see that device and no other."""
    return {"CUDA_VISIBLE_DEVICES": device.removeprefix(_GPU)} if is_gpu(device) else {}


def can_be_forked(device: str) -> bool:
    """Say whether a process forked from this one can use that device.

    A GPU's driver does not outlive a fork once it has been initialised, by whatever library; before that it
    knows nothing of one. So a process that only loads code may be forked.
    """
    if not is_gpu(device):
        return True
    try:
        driver = ctypes.CDLL("libcuda.so.1", mode=os.RTLD_NOLOAD)
    except OSError:
        return True  # nothing here has loaded it
    return int(driver.cuDeviceGetCount(ctypes.byref(ctypes.c_int()))) == _NOT_INITIALISED


def answers(device: str) -> bool:
    """Say whether that device answers torch, where torch is loaded. Side effect: a GPU's driver begins."""
    torch = sys.modules.get("torch")
    if torch is None or not is_gpu(device):
        return True
    try:
        torch.cuda.init()
    except (AssertionError, RuntimeError):
        return False
    return True


@functools.cache
def gpus() -> tuple[str, ...]:
    """Return this machine's GPUs as "gpu-NAME", with the names that CUDA_VISIBLE_DEVICES takes.

    Empty where the installed torch is a build for processors. Asks nvidia-smi once; loads no model code.
    """
    try:
        if "+cpu" in metadata.version("torch"):
            return ()
    except metadata.PackageNotFoundError:
        return ()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return tuple(f"{_GPU}{card}" for card, _ in _cards())
    names = [name.strip() for name in allowed.split(",")]
    return tuple(f"{_GPU}{_of_one_name(name)}" for name in names if name not in ("", "-1"))


def _of_one_name(name: str) -> str:
    """Return the name of a card that all studies lease it by, however this one was told of it.

    Of unlike cards a number counts the fastest first, which the driver alone can tell: it stays as it is.
    """
    if not name.isdigit():
        return name
    cards = _cards()
    in_order = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or len({kind for _, kind in cards}) == 1
    return cards[int(name)][0] if in_order and int(name) < len(cards) else name


def _cards() -> list[tuple[str, str]]:
    """Return the name and the kind of every card that nvidia-smi tells of, in the order of their places."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        asked = [program, "--query-gpu=uuid,name", "--format=csv,noheader"]
        told = subprocess.run(
            asked,
            env=secrecy.environment(),
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    cards = [line.partition(",") for line in told.stdout.splitlines() if line.startswith("GPU-")]
    return [(name.strip(), kind.strip()) for name, _, kind in cards]
