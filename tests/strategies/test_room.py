"""What a launch takes is said before it, and refused at the one gate where it is not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.machine import change_machine
from engine.core.memory import available_bytes
from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import scan
from engine.runs.registry import reckoned_by
from engine.runs.room import Room, lacking
from engine.runs.runfolder import Status, write_spec, write_status
from engine.strategies.ground import read_ground
from engine.strategies.plan import as_one, plan
from engine.strategies.room import room
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


@pytest.fixture
def _reckoned() -> Iterator[None]:
    """What a test lets runs take is forgotten behind it."""
    yield
    reckoned_by(lambda ws, specs: room(specs, read_ground(ws)))


@pytest.mark.usefixtures("_reckoned")
@pytest.mark.parametrize(
    ("taken", "fault"), [(Room(10**15, 0), "of memory, and"), (Room(1, 10**16), "of disk beside 50")]
)
def test_what_is_not_there_is_refused_by_every_launch(ws: Workspace, taken: Room, fault: str) -> None:
    failed, other = plan(ws, "count", seed=1), plan(ws, "count")
    run_id = failed.target.run_id
    write_status(ws.run_folder(run_id), Status(state="failed", order=1, attempt=1))
    write_spec(ws.run_folder(run_id), failed.target.spec)
    done = ws.run_folder(run_id) / "checkpoint.json"
    done.write_text("{}")
    reckoned_by(lambda *_: taken)
    launches: tuple[Callable[[], object], ...] = (
        lambda: jobs.submit(ws, other),
        lambda: jobs.submit(ws, as_one([failed, other])),
        lambda: jobs.resume(ws, run_id),
        lambda: jobs.start_over(ws, run_id),
    )
    for launch in launches:
        with pytest.raises(EngineError, match=fault) as refused:
            launch()
        assert refused.value.hint
    assert [(one.run_id, one.state) for one in scan(ws)] == [(run_id, "failed")]
    assert done.exists()


@pytest.mark.usefixtures("_reckoned")
def test_what_waits_already_takes_its_disk_too(ws: Workspace) -> None:
    change_machine(ws, training_slots=0)
    free = shutil.disk_usage(ws.root).free
    reckoned_by(lambda _, specs: Room(1, len(specs) * (free - 200_000_000)))
    jobs.submit(ws, plan(ws, "count"))
    with pytest.raises(EngineError, match="of disk beside 50"):
        jobs.submit(ws, plan(ws, "count", seed=1))


def test_on_a_cluster_its_own_memory_counts(ws: Workspace) -> None:
    assert lacking(ws, Room(10**15, 0), "ray") is None
    assert lacking(ws, Room(), "local") is None
    assert lacking(ws, Room(1, shutil.disk_usage(ws.root).free), "local") is not None


def test_what_is_begun_already_takes_nothing_more(ws: Workspace) -> None:
    planned = plan(ws, "count")
    assert planned.room
    jobs.submit(ws, planned)
    assert not plan(ws, "count").room


def test_a_dry_run_says_what_room_is_not_there(
    ws: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.strategies.plan.room", lambda *_: Room(10**15, 0))
    for line in (["run", "count"], ["sweep", "count", "ticks=1,2"]):
        assert main([*line, "--dry-run", "--workspace", str(ws.root)]) == 0
        assert "cannot be launched yet: It takes 1" in capsys.readouterr().err.replace("\n", " ")
    assert not scan(ws)
