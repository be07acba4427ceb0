"""A run done in parts, each by a process that knows its own only, is the run done in one go. Without Ray."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.runs import manifest
from engine.runs.launchers.ray import fitting, request
from engine.runs.launchers.ray_driver import Piece, _new_lines, _share
from engine.runs.launchers.ray_tasks import PARTS, STOP, TURN, do_part, reports_of, unwanted
from engine.runs.parts import Part, PartDone, rows_of_others, wave_size, waves_here
from engine.runs.runfolder import (
    RunSpec,
    Status,
    append_line,
    read_log,
    read_status,
    write_spec,
    write_status,
)
from engine.strategies.plan import plan
from engine.strategies.runnable import REGISTERED, execute
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"epochs": 2, "batch_size": 2, "examples_per_persona": 3, "max_new_tokens": 8}


@pytest.fixture
def ws(tiny_base: Path, tmp_path: Path) -> Workspace:
    torch.set_num_threads(1)
    return prepare_study(tmp_path / "whole", tiny_base, personas=5)


def begin(ws: Workspace, experiment: str) -> RunSpec:
    spec = plan(ws, experiment, dict(SETTINGS) if experiment != "base" else {"max_new_tokens": 8}).target.spec
    write_status(ws.run_folder(spec.run_id), Status(state="running", attempt=1))
    write_spec(ws.run_folder(spec.run_id), spec)
    return spec


def part(ws: Workspace, spec: RunSpec, name: str, **fields: Any) -> dict[str, Any]:
    answer = do_part(str(ws.root), spec.run_id, 1, name, fields or None, registry=REGISTERED)
    assert answer["state"] == "succeeded", answer
    return answer


def scores(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id).drop(columns="seconds")


def test_adapters_and_scores_are_those_of_one_process(ws: Workspace, tmp_path: Path) -> None:
    """In the same waves, bit by bit: sums are rounded otherwise where others are packed beside them."""
    divided = Workspace(tmp_path / "divided")
    shutil.copytree(ws.root, divided.root)
    spec = begin(ws, "per-persona")
    write_json(ws.run_folder(spec.run_id) / "checkpoint" / "waves.json", {"size": 3})
    assert execute(ws, spec.run_id, Status(state="running", attempt=1)) == 0
    shutil.copy(ws.data / "kernels.json", divided.data / "kernels.json")

    assert begin(divided, "per-persona").run_id == spec.run_id
    folder, adapters = divided.run_folder(spec.run_id), divided.adapters(spec.run_id)
    assert part(divided, spec, "divide", kind="divide", of=2)["waves"] == 2
    assert read_json(folder / "checkpoint" / "waves.json") == {"size": 3}
    assert not adapters.exists()
    part(divided, spec, "wave-1", kind="wave", number=1, of=2)  # in any order
    assert len(list(adapters.iterdir())) == 2
    part(divided, spec, "wave-0", kind="wave", number=0, of=2)
    assert len(list(adapters.iterdir())) == 5
    part(divided, spec, "join", kind="join")
    assert (folder / "training.json").exists()
    for number in (2, 0, 1):
        part(divided, spec, f"replies-{number}", kind="replies", number=number, of=3)
    assert not (folder / "scores.parquet").exists()
    kept = [row for path in folder.glob("replies-*.jsonl") for row in _kept(path)]
    assert len(kept) == len(scores(ws, spec))
    assert read_status(reports_of(divided, spec.run_id, "wave-0")).stage == "train"
    assert read_log(folder) == [], "parts report apart"
    part(divided, spec, "whole")
    manifest.write(divided, spec.run_id)
    for path in ws.adapters(spec.run_id).rglob("*.safetensors"):
        assert (adapters / path.relative_to(ws.adapters(spec.run_id))).read_bytes() == path.read_bytes()
    pd.testing.assert_frame_equal(scores(ws, spec), scores(divided, spec), check_exact=True)
    for name in ("variants.json", "protocols.json"):
        assert [_timeless(one) for one in _entries(folder / name)] == [
            _timeless(one) for one in _entries(ws.run_folder(spec.run_id) / name)
        ]


def _kept(path: Path) -> list[Any]:
    return [row for line in path.read_text().split("\n") if line for row in json.loads(line)]


def _entries(path: Path) -> list[Any]:
    value = read_json(path)
    return value if isinstance(value, list) else [value]


def _timeless(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "train_seconds"}


def test_a_part_that_cannot_see_the_run_says_what_the_cluster_needs(tmp_path: Path) -> None:
    answer = do_part(str(tmp_path), "base-00000000", 1, "whole", None, registry=REGISTERED)
    assert answer["state"] == "failed"
    assert "same path on every node" in answer["hint"]


def test_a_part_stops_where_its_run_has_ended_or_another_task_has_it(tmp_path: Path) -> None:
    ws, run_id = Workspace(tmp_path), "base-00000000"

    def is_unwanted(*, attempt: int = 2, turn: int = 1) -> bool:
        return unwanted(ws, run_id, attempt, "wave-0", turn)

    assert not is_unwanted(), "a status that cannot be read says nothing"
    write_status(ws.run_folder(run_id), Status(state="running", attempt=2))
    assert not is_unwanted()
    assert is_unwanted(attempt=1), "the run has begun anew"
    write_json(reports_of(ws, run_id, "wave-0") / TURN, 2)
    assert is_unwanted(turn=1)
    assert not is_unwanted(turn=2)
    write_status(ws.run_folder(run_id), Status(state="lost", attempt=2))
    assert is_unwanted(turn=2), "its driver was killed"
    write_status(ws.run_folder(run_id), Status(state="running", attempt=2))
    write_json(ws.run_folder(run_id) / PARTS / STOP, {})
    assert is_unwanted(turn=2)


def test_tasks_ask_for_what_was_said_and_as_many_are_made_as_nodes_can_hold_at_once() -> None:
    head, small, large = {"CPU": 0.0}, {"CPU": 4.0}, {"CPU": 16.0, "GPU": 4.0}
    assert request({}, [head, small]) == {"CPU": 1.0}
    assert request({}, [head, large]) == {"CPU": 1.0, "GPU": 1.0}, "a GPU each where there is any"
    assert request({"cpus": 2.0, "gpus": 0.0}, [large]) == {"CPU": 2.0}
    assert fitting({}, {"CPU": 1.0, "GPU": 1.0}, [head, small, large]) == 4
    assert fitting({}, {"CPU": 8.0}, [head, small, large]) == 2
    assert fitting({}, {"CPU": 3.0, "GPU": 0.5}, [small, large]) == 5
    assert fitting({"tasks": 9}, {"CPU": 8.0}, [large]) == 9
    with pytest.raises(EngineError, match="No node of the cluster has 8 CPU, 1 GPU: 0 CPU; 4 CPU"):
        request({"cpus": 8.0, "gpus": 1.0}, [head, small])


def test_batches_are_shared_out_whole_and_every_row_is_somebodys() -> None:
    batches = [[5, 1], [0], [2, 3, 4], [6]]
    mine = [set(range(7)) - rows_of_others(Part("replies", number=n, of=3), batches) for n in range(3)]
    assert mine == [{5, 1, 6}, {0}, {2, 3, 4}]
    assert rows_of_others(None, batches) == frozenset()
    for kind in ("divide", "wave", "join"):
        with pytest.raises(PartDone):
            rows_of_others(Part(kind), batches)  # type: ignore[arg-type]


def test_waves_hold_every_lesson_and_no_more_than_memory_does() -> None:
    assert wave_size(Part("divide", of=4), 10, most=100) == 3
    assert wave_size(Part("divide", of=4), 10, most=2) == 2
    assert wave_size(None, 10, most=100) == 100
    assert list(waves_here(None, 3)) == list(waves_here(Part("join"), 3)) == [0, 1, 2]
    assert list(waves_here(Part("wave", number=2, of=3), 3)) == [2]
    with pytest.raises(PartDone) as done:
        waves_here(Part("divide"), 3)
    assert done.value.waves == 3


def test_what_a_part_writes_is_read_once_and_by_whole_lines(tmp_path: Path) -> None:
    piece, path = Piece("wave-0", Part("wave")), tmp_path / "log.txt"
    assert _new_lines(path, piece) == []
    append_line(path, "one")
    with path.open("a") as file:
        file.write("half")
    assert _new_lines(path, piece) == ["one"]
    with path.open("a") as file:
        file.write(" a line\n")
    assert _new_lines(path, piece) == ["half a line"]
    assert _new_lines(path, piece) == []


def test_progress_of_a_part_counts_its_own_share() -> None:
    wave = Part("wave", number=1, of=2)
    assert _share(wave, Status(state="running", done=75, total=100)) == pytest.approx(0.5)
    replies = Part("replies", number=1, of=4)
    assert _share(replies, Status(state="running", done=25, total=100)) == pytest.approx(1.0)
    assert _share(replies, Status(state="running")) == 0.0
