"""What a launch takes is said before it, and refused at the one gate where it is not there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from engine.core.errors import EngineError
from engine.core.machine import Machine
from engine.core.memory import available_bytes
from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import scan
from engine.runs.room import Room, lacking
from engine.strategies.plan import plan
from tests.tiny_base import prepare_study


def test_adapters_are_reckoned_as_large_as_peft_makes_them(tiny_base: Path, tmp_path: Path) -> None:
    ws = prepare_study(tmp_path / "study", tiny_base)
    modules = ["q_proj", "v_proj", "down_proj"]
    asked = {"rank": 4, "target_modules": modules, "examples_per_persona": 1}
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_base), LoraConfig(r=4, target_modules=modules)
    )
    each = sum(one.numel() * one.element_size() for one in model.parameters() if one.requires_grad)
    small, whole = (plan(ws, "per-persona", {**asked, **more}).room for more in ({"personas": 1}, {}))
    personas = plan(ws, "per-persona", asked).target.spec.parameters  # the run's own, beside its upstreams
    assert personas["by"] == "persona"
    known = len((ws.dataset / "personas.jsonl").read_text().splitlines())
    scored = 1_500 * 2 * (known - 1)
    assert whole.disk_bytes - small.disk_bytes == pytest.approx(4 * each * (known - 1) + scored, rel=0.02)
    assert whole.memory_bytes == small.memory_bytes < available_bytes()


@pytest.mark.parametrize(
    ("room", "fault"), [(Room(10**15, 0), "of memory, and"), (Room(1, 10**16), "of disk, and")]
)
def test_what_is_not_there_is_refused_and_nothing_is_queued(ws: Workspace, room: Room, fault: str) -> None:
    planned = replace(plan(ws, "count"), room=room)
    with pytest.raises(EngineError, match=fault) as refused:
        jobs.submit(ws, planned)
    assert refused.value.hint
    assert not scan(ws)


def test_on_a_cluster_its_own_memory_counts(ws: Workspace) -> None:
    assert lacking(ws, Room(10**15, 0), Machine(launcher="ray")) is None
    assert lacking(ws, Room(), Machine()) is None
    assert lacking(ws, Room(1, shutil.disk_usage(ws.root).free), Machine()) is not None


def test_what_is_begun_already_takes_nothing_more(ws: Workspace) -> None:
    planned = plan(ws, "count")
    assert planned.room
    jobs.submit(ws, planned)
    assert not plan(ws, "count").room
