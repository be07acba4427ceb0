"""The command line of augmentation: the preview, and the switch of `run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.data import prepare
from engine.data.augment.preview import preview
from engine.data.dataset import load_splits
from engine.domains.smart_home import RULES
from tests.sample_study import prepare_world


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return prepare_world(tmp_path_factory.mktemp("world"), personas=3, dialogues=8)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_preview_shows_pairs_and_what_was_refused(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("augment", "preview", "--persona", "persona_001", "--count", "6", "-w", str(ws.root))
    code, found = answer(capsys, *asked, "--no-scorer")
    assert code == 0
    assert found["persona_id"] == "persona_001"
    assert found["sources"] == 4
    pairs = found["pairs"]
    assert isinstance(pairs, list)
    assert len(pairs) == 6
    assert all(pair["changes"] and pair["nearness"] is None for pair in pairs)
    assert {load_splits(ws).assignment[pair["source_id"]] for pair in pairs} == {"train"}
    assert main([*asked, "--no-scorer"]) == 0
    shown = capsys.readouterr().out
    assert "6 made of 4 train dialogues" in shown
    assert "Rejected:" in shown


def test_the_preview_judges_likeness_with_the_scorer(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("augment", "preview", "--persona", "persona_001", "--count", "2", "-w", str(ws.root))
    _, found = answer(capsys, *asked, "--threshold", "0.9")
    assert all(pair["nearness"] >= 0.9 for pair in found["pairs"])  # type: ignore[attr-defined]


def test_unknown_names_get_the_nearest(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("augment", "preview", "-w", str(ws.root), "--no-scorer")
    code, found = answer(capsys, *asked, "--persona", "persona_01")
    assert code == 1
    assert "persona_0" in str(found["hint"])
    code, found = answer(capsys, *asked, "--persona", "persona_001", "--methods", "parafrase")
    assert code == 1
    assert found["hint"] == "Did you mean 'paraphrase'?"


def test_a_preview_is_the_same_every_time_and_needs_train_dialogues(ws: Workspace, tmp_path: Path) -> None:
    first, again = (preview(ws, "persona_002", 4) for _ in range(2))
    assert first == again
    assert {pair.method for pair in first.pairs} <= set(RULES)
    others = Workspace(tmp_path)
    base = str(ws.read_config()["base"])
    prepare(others, dataset="world:default", personas=5, dialogues=2, base=base, split="by-persona")
    assignment = load_splits(others).assignment
    tested = next(name.partition("/")[0] for name, split in assignment.items() if split == "test")
    with pytest.raises(EngineError, match="no train dialogue"):
        preview(others, tested)


def test_the_switch_plans_the_augmentation(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = answer(capsys, "run", "per-persona", "--use-augmented", "--dry-run", "-w", str(ws.root))
    assert code == 0
    runs = {run["experiment"]: run for run in found["runs"]}  # type: ignore[attr-defined]
    assert runs["augmentation"]["purpose"] == "upstream"
    assert runs["per-persona"]["parameters"]["use_augmented"] is True
    assert runs["per-persona"]["upstream"]["augmented"] == runs["augmentation"]["run_id"]
    code, found = answer(capsys, "run", "base", "--use-augmented", "--dry-run", "-w", str(ws.root))
    assert code == 1
    assert "use_augmented: there is no such parameter" in str(found["error"])
