"""What people say of runs stands in one file that only grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.runs import labels, usage
from engine.runs.labels import Label
from tests.many_runs import leave_history
from tests.sample_study import prepare_world


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Workspace, str, str]:
    ws = prepare_world(tmp_path, personas=3, dialogues=6)
    first, second = leave_history(ws, 2, steps=2)
    return ws, first, second


def test_labels_are_changed_in_part_and_kept(runs: tuple[Workspace, str, str]) -> None:
    ws, first, second = runs
    labels.label(ws, [first, second], add=["paper", " draft ,old"], star=True)
    labels.label(ws, [first], drop=["old"], title="  A\n title ", star=False)
    assert labels.read(ws) == {
        first: Label(title="A title", tags=("paper", "draft")),
        second: Label(tags=("paper", "draft", "old"), star=True),
    }
    assert labels.tags(labels.read(ws)) == ["draft", "old", "paper"]
    lines = (ws.data / "labels.jsonl").read_text().splitlines()
    labels.label(ws, [first], title="A title")  # nothing new is no line
    assert (ws.data / "labels.jsonl").read_text().splitlines() == lines


def test_a_torn_or_foreign_line_takes_no_label_away(runs: tuple[Workspace, str, str]) -> None:
    ws, first, second = runs
    labels.label(ws, [first], note="kept")
    with (ws.data / "labels.jsonl").open("a") as file:
        file.write(f'{{"run_id": "{first}", "label": {{"star": "yes"}}}}\n[]\n{{"run_id": "{first}", "lab')
    labels.label(ws, [second], pinned=True)
    assert labels.read(ws) == {first: Label(note="kept"), second: Label(pinned=True)}


def test_what_cannot_be_said_is_refused(runs: tuple[Workspace, str, str]) -> None:
    ws, first, _ = runs
    with pytest.raises(EngineError, match="title has 121"):
        labels.label(ws, [first], title="x" * 121)
    with pytest.raises(EngineError, match="no run named"):
        labels.label(ws, ["unified-nothing0"], star=True)
    assert first not in labels.read(ws)


def test_memory_and_processor_are_looked_at_ever_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(usage.time, "monotonic", lambda: float(next(clock)))
    sampler = usage.Sampler(tmp_path)
    for second in range(3600):
        sampler.look(float(second))
    looks = usage.read(tmp_path)
    assert 500 < len(looks) < 1200, "an hour leaves about a thousand lines"
    assert all(one["memory_bytes"] > 10**6 and one["processor"] >= 0 for one in looks)
    assert looks == sorted(looks, key=lambda one: one["t"])
