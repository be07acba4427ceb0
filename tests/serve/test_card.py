"""The playground and the runs share a GPU by its lease: one waits visibly for the other, or does without."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from engine.core.paths import Workspace
from engine.runs import leases, slots
from engine.serve import server


@pytest.fixture(autouse=True)
def one_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(leases.FOLDER, str(tmp_path / "leases"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-7")
    monkeypatch.setattr(slots, "gpus", lambda: ("gpu-GPU-7",))


def test_a_free_gpu_is_taken_and_others_see_by_whom() -> None:
    with leases.free_card("the playground") as leaves:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-7"
        assert (who := leases.holder("gpu-GPU-7")) is not None
        assert who.what == "the playground"
        assert not leaves()
    assert leases.holder("gpu-GPU-7") is None


def test_while_a_run_holds_it_the_playground_sees_none() -> None:
    with leases.lease("gpu-GPU-7", what="unified-1"), leases.free_card("the playground") as leaves:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
        assert not leaves()
        assert (who := leases.holder("gpu-GPU-7")) is not None
        assert who.what == "unified-1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-7"


def test_the_playground_leaves_when_a_run_waits(tmp_path: Path) -> None:
    """A real wait in another thread: it is told who holds the card, and gets it before the chat is idle."""
    heard: list[str] = []
    ws = Workspace(tmp_path)

    def run() -> None:
        with leases.lease(
            "gpu-GPU-7", what="unified-1", waiting=lambda who: heard.append(who.what if who else "?")
        ):
            heard.append("begun")

    began = time.monotonic()
    with leases.free_card("the playground") as leaves:
        waiter = threading.Thread(target=run)
        waiter.start()
        server.work(ws, server.Desk(ws), idle_seconds=600.0, leaves=leaves)
    waiter.join(timeout=400)
    assert time.monotonic() - began < 600
    assert heard[0] == "the playground"
    assert heard[-1] == "begun"
    assert not leases.wanted("gpu-GPU-7")
