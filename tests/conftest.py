"""What tests of several layers share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels for GPUs run here, too; Triton reads it once

from engine.core.paths import Workspace
from engine.runs import jobs, standby
from engine.runs.records import scan
from engine.strategies import registry
from tests.experiments_for_tests import EXPERIMENTS
from tests.paced import PLACE as PACED
from tests.smollm2 import smollm2
from tests.tiny_base import save_tiny_base
from tests.workspaces import make_workspace

__all__ = ["smollm2"]


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a user's machine remembers of costs, kernels, consent and permits neither enters nor changes.

    Supervisors stand by for seconds only: each test has a workspace of its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.setenv(standby.SECONDS, "3")
        yield


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random base model; read it only."""
    return save_tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run that is started only count, at the pace that `counting_run` is told."""
    monkeypatch.setenv(registry.MORE, PACED)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counting experiments are in the catalog, here and in every process started from here."""
    for name, entry in EXPERIMENTS.items():
        monkeypatch.setitem(registry.EXPERIMENTS, name, entry)
    monkeypatch.setenv(registry.MORE, "tests.experiments_for_tests:EXPERIMENTS")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def ws(counting: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A small workspace with the counting experiments in the catalog; no run of it outlives the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ws = make_workspace(tmp_path)
    yield ws
    for record in scan(ws):
        if record.state in ("queued", "running"):
            jobs.cancel(ws, record.run_id, grace_seconds=0.0)
