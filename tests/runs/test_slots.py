"""Which GPUs there are, by the one name that every study leases a card by."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.paths import REPOSITORY
from engine.runs import slots

FAKE = """#!/bin/sh
printf 'GPU-aaaa, %s\\nGPU-bbbb, %s\\n' "{}" "{}"
"""


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    slots.gpus.cache_clear()
    yield
    slots.gpus.cache_clear()


@pytest.mark.parametrize(
    ("kinds", "told", "found"),
    [
        (("H100", "H100"), {}, ["gpu-GPU-aaaa", "gpu-GPU-bbbb"]),
        (("H100", "H100"), {"CUDA_VISIBLE_DEVICES": "1"}, ["gpu-GPU-bbbb"]),
        (("H100", "H100"), {"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}, ["gpu-GPU-bbbb"]),
        (("H100", "H100"), {"CUDA_VISIBLE_DEVICES": ""}, []),
        (("H100", "T4"), {"CUDA_VISIBLE_DEVICES": "1"}, ["gpu-1"]),
        (("H100", "T4"), {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, ["gpu-GPU-bbbb"]),
    ],
)
def test_a_card_has_one_name_however_a_study_is_told_of_it(
    kinds: tuple[str, str],
    told: dict[str, str],
    found: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two names of one card would be two leases, and two runs on it at once."""
    program = tmp_path / "nvidia-smi"
    program.write_text(FAKE.format(*kinds))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("engine.runs.slots.metadata.version", lambda _: "2.13.0+cu130")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert list(slots.gpus()) == found


DRIVER = """
static int begun;
int cuInit(unsigned flags) { begun = 1; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return begun ? 0 : 3; }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="There is no C compiler for the driver's stand-in.")
def test_a_process_is_forked_for_a_gpu_until_its_driver_has_begun(tmp_path: Path) -> None:
    """The driver's two answers are those of its documentation; there is no real one here."""
    (tmp_path / "driver.c").write_text(DRIVER)
    library = tmp_path / "libcuda.so.1"
    options = ["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library)]
    subprocess.run(["cc", *options, str(tmp_path / "driver.c")], check=True)
    program = (
        "import ctypes; from engine.runs import slots\n"
        "said = [slots.can_be_forked('gpu-0')]\n"
        f"driver = ctypes.CDLL({str(library)!r})\n"
        "said.append(slots.can_be_forked('gpu-0')); driver.cuInit(0)\n"
        "print(*said, slots.can_be_forked('gpu-0'), slots.can_be_forked('cpu'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", "False", "True"], done.stderr
