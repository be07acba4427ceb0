"""Runs on a real Ray cluster of one head and two workers, one of them killed: the results of a local run."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine import jobs, launchers
from engine.errors import EngineError
from engine.experiments.plan import Plan, plan
from engine.machine import Machine
from engine.paths import Workspace, write_json
from engine.processes import running
from engine.records import find, scan
from engine.runfolder import read_events, read_log, read_status
from tests.tiny_base import prepare_study
from tests.workspaces import eventually

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: make setup-ray"
)
WAIT = 600.0
PARAMETERS = {"epochs": 6, "batch_size": 1, "examples_per_persona": 20, "max_new_tokens": 24}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors, so that all work is done on the two workers."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "300"}
    made = Cluster()
    try:
        grow(made, num_cpus=0, include_dashboard=False)
        for _ in range(2):
            grow(made, num_cpus=1)
        yield made
    finally:
        made.shutdown()


def grow(cluster: Any, **wishes: Any) -> Any:
    """Add a node. With ports given it need not wait for its helpers, for which a busy machine takes long."""
    names = (
        "metrics_agent_port",
        "runtime_env_agent_port",
        "dashboard_agent_listen_port",
        "metrics_export_port",
    )
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    return cluster.add_node(object_store_memory=80_000_000, **ports, **wishes)


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture
def machine(cluster: Any) -> Machine:
    return Machine(launcher="ray", ray_address=cluster.address, ray_cpus=1.0)


def studies(tiny_base: Path, tmp_path: Path, *, personas: int = 6) -> tuple[Workspace, Workspace]:
    """Two equal workspaces: one for the cluster, one for this machine."""
    here, there = (prepare_study(tmp_path / name, tiny_base, personas=personas) for name in ("here", "there"))
    return here, there


def alone(ws: Workspace, experiment: str, **parameters: Any) -> Plan:
    return Plan(experiment, (plan(ws, experiment, parameters).target,))


def end_of(ws: Workspace, run_id: str) -> Any:
    (record,) = jobs.wait(ws, [run_id], timeout_seconds=WAIT, poll_seconds=0.2)
    assert record.state == "succeeded", "\n".join(read_log(ws.run_folder(run_id), last_lines=40))
    return record


def tree_of(ws: Workspace, run_id: str) -> dict[str, bytes]:
    folder = ws.adapters(run_id)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


def scores_of(ws: Workspace, run_id: str) -> pd.DataFrame:
    return pd.read_parquet(ws.run_folder(run_id) / "scores.parquet").drop(columns="seconds")


@needs_ray
def test_a_run_whose_node_is_killed_ends_like_a_local_one(
    tiny_base: Path, tmp_path: Path, cluster: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    here, there = studies(tiny_base, tmp_path)
    planned = alone(here, "per-persona", **PARAMETERS)
    # In the same waves as on the cluster: then rounding is the same too, and results are equal bit by bit.
    waves = here.run_folder(planned.target.run_id) / "checkpoint" / "waves.json"
    write_json(waves, {"size": 3})
    (local,) = jobs.submit(here, planned)
    end_of(here, local.record.run_id)
    (remote,) = jobs.submit(there, alone(there, "per-persona", **PARAMETERS), machine=machine)
    run_id = remote.record.run_id
    assert run_id == local.record.run_id, "where a run is executed does not decide what it is"
    folder = there.run_folder(run_id)

    def training() -> bool:
        return all(read_status(folder / "parts" / f"wave-{n}").stage == "train" for n in range(2))

    eventually(training, timeout_seconds=WAIT)
    (lost, *_) = cluster.list_all_nodes()[1:]
    cluster.remove_node(lost, allow_graceful=False)
    record = end_of(there, run_id)
    assert (record.status.launcher, record.status.attempt) == ("ray", 1)
    assert any(event["kind"] == "lost" for event in read_events(folder))
    assert any("is tried again" in line for line in read_log(folder))
    assert any(event["kind"] == "loss" for event in read_events(folder))
    assert tree_of(here, run_id) == tree_of(there, run_id)
    assert len(tree_of(there, run_id)) == 6
    pd.testing.assert_frame_equal(scores_of(here, run_id), scores_of(there, run_id), check_exact=True)
    assert not (folder / "parts").exists()
    grow(cluster, num_cpus=1)


@needs_ray
def test_a_cancelled_run_leaves_nothing_at_work_and_goes_on_from_its_checkpoints(
    tiny_base: Path, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    _, there = studies(tiny_base, tmp_path, personas=4)
    long = {**PARAMETERS, "epochs": 60}
    (remote,) = jobs.submit(there, alone(there, "per-persona", **long), machine=machine)
    run_id = remote.record.run_id
    parts = there.run_folder(run_id) / "parts"
    eventually(lambda: read_status(parts / "wave-1").done > 10, timeout_seconds=WAIT)
    cancelled = jobs.cancel(there, run_id)
    assert cancelled.state == "cancelled"
    assert not running(cancelled.status.worker)
    beats = {name: read_status(parts / name).heartbeat for name in ("wave-0", "wave-1")}
    time.sleep(4)
    assert beats == {name: read_status(parts / name).heartbeat for name in beats}, "a task is still at work"
    positions = list((there.run_folder(run_id) / "checkpoint").glob("wave-*/position.json"))
    assert positions
    jobs.resume(there, run_id)
    assert find(there, run_id).status.launcher == "ray"
    eventually(lambda: read_status(parts / "wave-1").attempt == 2, timeout_seconds=WAIT)
    os.kill(find(there, run_id).pid or 0, signal.SIGKILL)
    eventually(lambda: find(there, run_id).state == "lost")


def test_without_ray_the_launcher_says_how_to_install_it(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = prepare_study(tmp_path / "ws", tiny_base, personas=2)
    monkeypatch.setattr(launchers.ray, "installed", lambda: False)
    with pytest.raises(EngineError, match="Ray is not installed") as caught:
        jobs.submit(ws, plan(ws, "base"), machine=Machine(launcher="ray", ray_address="auto"))
    assert "make setup-ray" in caught.value.hint
    assert scan(ws) == []


@needs_ray
def test_a_cluster_that_is_not_there_fails_the_run_with_a_clear_message(
    tiny_base: Path, tmp_path: Path
) -> None:
    ws = prepare_study(tmp_path / "ws", tiny_base, personas=2)
    with pytest.raises(EngineError, match="address of the Ray cluster is missing"):
        jobs.submit(ws, plan(ws, "base"), machine=Machine(launcher="ray"))
    nowhere = Machine(launcher="ray", ray_address="127.0.0.1:1")
    (submitted,) = jobs.submit(ws, plan(ws, "base"), machine=nowhere)
    (record,) = jobs.wait(ws, [submitted.record.run_id], timeout_seconds=WAIT, poll_seconds=0.2)
    assert record.state == "failed"
    assert "There is no Ray cluster at 127.0.0.1:1" in (record.error or "")
