"""A study whose data are at fault says so wherever its data or its results are looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.paths import Workspace, write_json
from engine.data import prepare
from engine.data.dataset import hash_of
from engine.results.checks import failed_words
from engine.results.comparing.comparison import compare_variants
from engine.show.doctor import examine
from tests.pages.conftest import Open, texts
from tests.sample_study import finish


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One persona far larger than the others, a repeated dialogue, ids that tell no order."""
    rows = []
    for persona, held in (("big", 60), ("a", 5), ("b", 5), ("c", 5)):
        for number in range(held):
            asked = "the same as ever" if persona == "a" and number in (0, 4) else f"{persona} {number}"
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": f"Yes, {asked}."}]
            name = hash_of(f"{persona}{number}")[:12]
            rows.append({"persona_id": persona, "session_id": name, "messages": turns})
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_failed_checks_are_said_everywhere(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str], open_page: Open
) -> None:
    base, ws = tmp_path / "base", Workspace(tmp_path / "w")
    write_json(base / "config.json", {"model_type": "qwen2"})
    for name in ("model.safetensors", "tokenizer.json"):
        (base / name).touch()
    prepare(ws, dataset=str(file), base=str(base))
    told = failed_words(ws)
    assert [line.split(":")[0] for line in told] == ["no repeats", "order in time", "balance"]
    for line, means in zip(told, ("from memory", "the future is known", "weighs more"), strict=True):
        assert means in line
    assert main(["init", "-w", str(tmp_path / "v"), "--dataset", str(file)]) == 0
    assert capsys.readouterr().out.count("Check failed:") == 3
    found = {check.name: check for check in examine(ws) if not check.ok and check.name.startswith("data: ")}
    assert set(found) == {"data: no repeats", "data: order in time", "data: balance"}
    assert "--map time=COLUMN" in found["data: order in time"].hint
    page = open_page(ws, "data")
    assert "the future is known" in texts(page)
    assert "--map" not in texts(page)  # a page names its own controls, not a command's flags
    assert "1 test dialogue in train or history too" in [one.label for one in page.expander]
    finish(ws, "unified", per_persona=2)
    assert set(told) <= set(compare_variants(ws)["warnings"])
