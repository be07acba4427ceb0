"""`import engine`: what a notebook calls does what the command line does. Real runs over a tiny base."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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


def test_what_a_call_does_not_take_is_told_before_anything_is_done(
    study: engine.Study, tmp_path: Path
) -> None:
    at: Any = tmp_path / "new"
    any_study: Any = study
    create: Any = engine.create
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: create(at, dataset="world:default", persona=3), "persona.*\nDid you mean 'personas'"),
        (lambda: create(at, dataset="world:default", personas=2.5), "personas.*whole|personas.*integer"),
        (lambda: create(at, dataset="world:default", seed="x"), "'x' for seed"),
        (lambda: create(at, dataset="world:default", map=5), "5 for map"),
        (lambda: create(at), "needs dataset"),
        (lambda: create(5, dataset="world:default"), "5 for folder"),
        (lambda: engine.open(None), "None for folder"),  # type: ignore[arg-type]
        (lambda: any_study.run(None), "None for experiment"),
        (lambda: any_study.compare(spilt="val"), "spilt.*\nDid you mean 'split'"),
        (lambda: any_study.compare(variants="unified"), "'unified' for variants"),
        (lambda: any_study.ask("base", 5, "Hello."), "5 for persona"),
        (lambda: any_study.ask("base", "persona_000", "Hello.", meta="dark"), "'dark' for meta"),
        (lambda: any_study.ask("base", "persona_000", "Hello.", max_new_tokens=2.5), "for max_new_tokens"),
        (lambda: any_study.export("base", 5), "5 for folder"),
    ]
    for call, told in wrong:
        with pytest.raises(engine.EngineError, match=told):
            call()
    assert not at.exists()
    engine.create(at, dataset="world:default", personas=np.int64(3), dialogues=8)  # type: ignore[arg-type]


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
