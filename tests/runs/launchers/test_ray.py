"""Runs on a real Ray cluster of one head and two workers: whatever happens, they end like local ones."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine.core.errors import EngineError
from engine.core.machine import Machine
from engine.core.paths import Workspace, write_json
from engine.runs import jobs, launchers
from engine.runs.processes import running
from engine.runs.records import find, scan
from engine.runs.runfolder import read_events, read_log, read_status
from engine.strategies.plan import Plan, plan
from tests.ports import free_port
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study
from tests.workspaces import eventually

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: make setup-ray"
)
WAIT = 400.0
LIMIT_SECONDS = 1200
PARAMETERS = {
    "epochs": 16,
    "patience": None,
    "batch_size": 1,
    "examples_per_persona": 5,
    "max_new_tokens": 16,
}


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """No test of a cluster goes on for ever: it fails, and what it started is ended."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"The test has not ended within {LIMIT_SECONDS} s.")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors, so that all work is done on the two workers.

    Their GPUs are Ray's bookkeeping only. Tasks get their share of a busy machine: by default Ray lets every
    other process go first.
    """
    from ray._private import services
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "300")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setattr(services, "get_node", patient(services.get_node))
        made = Cluster()
        try:
            grow(made, num_cpus=0, num_gpus=0, include_dashboard=False)
            for _ in range(2):
                grow(made, num_cpus=1, num_gpus=1)
            yield made
        finally:
            made.shutdown()


def patient(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Give a node more than Ray's fixed 30 s to come up: a busy machine takes longer."""

    def asking(*values: Any) -> Any:
        until = time.monotonic() + WAIT
        while True:
            try:
                return ask(*values)
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    return asking


def grow(cluster: Any, **wishes: Any) -> Any:
    """Add a node. With ports given it need not wait for its helpers, for which a busy machine takes long."""
    names = (
        "metrics_agent_port",
        "runtime_env_agent_port",
        "dashboard_agent_listen_port",
        "metrics_export_port",
    )
    ports = {name: free_port() for name in names}
    return cluster.add_node(object_store_memory=80_000_000, **ports, **wishes)


@pytest.fixture
def machine(cluster: Any) -> Machine:
    return Machine(launcher="ray", ray_address=cluster.address, ray_cpus=0.5)


@pytest.fixture
def studies(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Workspace]]:
    """Two equal workspaces: one for this machine, one for the cluster. No run of theirs outlives the test."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as many as a task has
    made = [prepare_study(tmp_path / name, tiny_base, personas=4) for name in ("here", "there")]
    try:
        yield made
    finally:
        for ws in made:
            for record in scan(ws):
                if record.state in ("queued", "running"):
                    jobs.cancel(ws, record.run_id, grace_seconds=0.0)


def alone(ws: Workspace, experiment: str, **parameters: Any) -> Plan:
    return Plan(experiment, (plan(ws, experiment, parameters).target,))


def end_of(ws: Workspace, run_id: str) -> Any:
    (record,) = jobs.wait(ws, [run_id], timeout_seconds=WAIT, poll_seconds=0.2)
    return record


def said(ws: Workspace, run_id: str) -> str:
    return "\n".join(read_log(ws.run_folder(run_id)))


def tree_of(ws: Workspace, run_id: str) -> dict[str, bytes]:
    folder = ws.adapters(run_id)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


def without_times(ws: Workspace, run_id: str) -> pd.DataFrame:
    return scores_of(ws, run_id).drop(columns="seconds")


def a_wave_at_work(folder: Path, *, attempt: int) -> str:
    """Wait until a wave has been trained for some steps in that attempt; return its name."""

    def first() -> str | None:
        if read_status(folder).attempt != attempt:
            return None
        for wave in sorted((folder / "parts").glob("wave-*")):
            if read_status(wave).attempt == attempt and len(steps_of(wave)) >= 4:
                return wave.name
        return None

    return str(eventually(first, timeout_seconds=WAIT))


def steps_of(folder: Path, part: str | None = None) -> list[int]:
    """The training steps that were told of, in order."""
    told = [one for one in read_events(folder) if one["kind"] == "loss" and one["split"] == "train"]
    return [one["step"] for one in told if part is None or one["part"] == part]


def ended_on_the_cluster(folder: Path) -> bool:
    """Say whether every process that worked on a part is gone."""
    return not any(running(read_status(path.parent).worker) for path in folder.glob("parts/*/status.json"))


@needs_ray
def test_a_run_that_is_cancelled_killed_and_loses_a_node_ends_like_a_local_one(
    studies: list[Workspace], cluster: Any, machine: Machine
) -> None:
    here, there = studies
    planned = alone(here, "per-persona", **PARAMETERS)
    # In the same waves as on the cluster: then rounding is the same too, and results are equal bit by bit.
    waves = here.run_folder(planned.target.run_id) / "checkpoint" / "waves.json"
    write_json(waves, {"size": 2})
    jobs.submit(here, planned)
    (remote,) = jobs.submit(there, alone(there, "per-persona", **PARAMETERS), machine=machine)
    run_id = remote.record.run_id
    assert run_id == planned.target.run_id, "where a run is executed does not decide what it is"
    folder = there.run_folder(run_id)

    wave = a_wave_at_work(folder, attempt=1)
    eventually(lambda: read_status(folder).stage == "train")
    assert read_status(folder).unit == "steps"
    assert "2 tasks at once, each with 0.5 CPU, 1 GPU, on 3 nodes" in said(there, run_id)
    assert f"2 waves ({wave})" in said(there, run_id)
    cancelled = jobs.cancel(there, run_id)
    assert cancelled.state == "cancelled", said(there, run_id)
    assert cancelled.status.exit_code == 1, "the driver has ended of itself, after its tasks"
    assert not running(cancelled.status.worker)
    eventually(lambda: ended_on_the_cluster(folder))
    assert (folder / "checkpoint" / wave / "position.json").exists()
    before = steps_of(folder, wave)

    jobs.resume(there, run_id)
    a_wave_at_work(folder, attempt=2)
    assert find(there, run_id).status.launcher == "ray"
    os.kill(find(there, run_id).pid or 0, signal.SIGKILL)
    eventually(lambda: find(there, run_id).state == "lost")
    eventually(lambda: ended_on_the_cluster(folder))
    steps = steps_of(folder, wave)
    assert steps[: len(before)] == before
    assert steps == list(range(1, len(steps) + 1)), "no step is done twice, none is left out"

    jobs.resume(there, run_id)
    wave = a_wave_at_work(folder, attempt=3)
    cluster.remove_node(node_of(cluster, read_status(folder / "parts" / wave).worker), allow_graceful=False)
    assert end_of(there, run_id).state == "succeeded", said(there, run_id)
    lost = [event for event in read_events(folder) if event["kind"] == "lost"]
    assert [(event["part"], event["attempt"]) for event in lost] == [(wave, 1)]
    assert f"{wave} was lost and is tried again" in said(there, run_id)
    assert find(there, run_id).status.attempt == 3

    assert end_of(here, run_id).state == "succeeded", said(here, run_id)
    assert tree_of(here, run_id) == tree_of(there, run_id)
    assert len(tree_of(there, run_id)) == 4
    pd.testing.assert_frame_equal(without_times(here, run_id), without_times(there, run_id), check_exact=True)
    assert not (folder / "parts").exists()


def node_of(cluster: Any, worker: Any) -> Any:
    """The node whose process started that worker."""
    parent = int(Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[1])
    for node in cluster.list_all_nodes():
        if any(info.process.pid == parent for info in node.all_processes["raylet"]):
            return node
    raise AssertionError(f"No node has started process {worker.pid}.")


@needs_ray
def test_what_no_node_has_is_said_with_what_there_is(studies: list[Workspace], cluster: Any) -> None:
    _, ws = studies
    wish = Machine(launcher="ray", ray_address=cluster.address, ray_cpus=3.0, ray_gpus=2.0)
    (submitted,) = jobs.submit(ws, plan(ws, "base"), machine=wish)
    record = end_of(ws, submitted.record.run_id)
    assert record.state == "failed"
    assert "No node of the cluster has 3 CPU, 2 GPU: " in (record.error or "")
    assert "1 CPU, 1 GPU" in (record.error or "")


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
    record = end_of(ws, submitted.record.run_id)
    assert record.state == "failed"
    assert "There is no Ray cluster at 127.0.0.1:1" in (record.error or "")
