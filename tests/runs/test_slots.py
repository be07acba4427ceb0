"""Which GPUs there are, by the one name that every study leases a card by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
