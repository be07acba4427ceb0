"""`import engine`: what a notebook calls does what the command line does. Real runs over a tiny base."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.core.paths import REPOSITORY


@pytest.fixture
def study(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> engine.Study:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return engine.create(
        tmp_path / "study", dataset="world:default", personas=4, dialogues=8, base=str(tiny_base)
    )


def test_a_study_from_python(study: engine.Study, tmp_path: Path) -> None:
    run_id = study.run("unified", epochs=1, examples_per_persona=1)
    assert study.run("unified", epochs=1, examples_per_persona=1) == run_id  # it exists
    assert {"base", "unified"} <= set(study.variants)
    assert set(study.runs()["state"]) == {"succeeded"}
    table = study.compare()
    assert list(table["variant"]) == ["unified", "base"]
    assert table.attrs["split"] == "val"
    assert table.attrs["test_looks"] == 0
    base = table.set_index("variant").loc["base"]
    means = study.scores().groupby(["variant", "persona_id"])["value"].mean().groupby("variant").mean()
    assert base["delta"] == pytest.approx(means["base"] - means["unified"])
    again = engine.open(study.workspace.root)
    persona = study.scores()["persona_id"].iloc[0]
    assert again.ask("unified", persona, "Good evening.", max_new_tokens=8)
    assert (again.export("unified", tmp_path / "out") / "README.md").exists()


def test_faults_are_told_with_a_remedy(study: engine.Study, tmp_path: Path) -> None:
    with pytest.raises(engine.EngineError) as fault:
        study.run("unifid")
    assert "unified" in f"{fault.value.message} {fault.value.hint}"
    with pytest.raises(engine.EngineError, match="variant"):
        study.ask("nobody", "persona_000", "Hello.")
    for wrong in (
        lambda: study.run("unified", seed="first"),  # type: ignore[arg-type]
        lambda: study.compare(split="validation"),
        lambda: study.scores(split="valid"),
        lambda: study.ask("base", "persona_000", "Hello.", max_new_tokens=-1),
        lambda: engine.open(tmp_path / "nowhere"),
    ):
        with pytest.raises(engine.EngineError):
            wrong()
    assert study.runs().empty
    with pytest.raises(AttributeError, match="nonsense"):
        engine.nonsense  # noqa: B018


def test_importing_it_loads_no_model_code() -> None:
    told = "import engine, sys; engine.open; print('torch' in sys.modules, 'streamlit' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    cells = json.loads((REPOSITORY / "docs" / "study.ipynb").read_text(encoding="utf-8"))["cells"]
    known: dict[str, Any] = {}
    for number, cell in enumerate(cell for cell in cells if cell["cell_type"] == "code"):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), known)
    assert set(known["table"]["variant"]) >= {"unified", "hybrid", "base"}
    assert sorted(path.name for path in (tmp_path / "hybrid-adapters").iterdir()) == [
        "README.md",
        "adapters",
        "personas.json",
        "prompts.jsonl",
        "recipe.json",
    ]
