"""A strategy of a user's own, in one file outside the engine: it does everything that those which ship do.

It steers each persona by an offset of her own that is added to what a layer gives.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from engine.cli import main
from engine.core import extensions
from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace, read_json
from engine.core.questions import Answer, Question, Reply, Speaker, new_id
from engine.data.dataset import load_dataset
from engine.lm.effects import read_recipe
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.runs.runfolder import RunSpec
from engine.serve.answering import Answering, Stage
from engine.serve.conversation import can_answer
from engine.show.report import compose
from engine.show.report.rendering import as_markdown
from engine.strategies import registry
from engine.strategies.cloning import clone
from engine.strategies.plan import plan
from pages.shared import frame
from tests import in_process
from tests.recipes import recipe
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

FILE = recipe("strategy")
SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 6}
do = in_process.doing(SETTINGS)
ROWS = 4 * 2 * 2  # personas, splits, examples


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mine") / "steering.py"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory, own: Path) -> Workspace:
    """A study whose settings name the file; it is approved."""
    ws = prepare_study(tmp_path_factory.mktemp("study"), tiny_base, dialogues=6)
    extensions.name_file(ws, own)
    with pytest.raises(EngineError, match="no experiment named 'steering'.*not approved") as refused:
        plan(ws, "steering")
    assert "machine --approve" in refused.value.hint
    extensions.approve(ws, own)
    return ws


@pytest.fixture(scope="module")
def steered(ws: Workspace) -> RunSpec:
    return do(ws, "steering")


def table(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id)


def trained_from(ws: Workspace, spec: RunSpec) -> set[Any]:
    return {record["taken_from"] for record in read_json(ws.run_folder(spec.run_id) / "training.json")}


def test_it_trains_and_is_scored(ws: Workspace, steered: RunSpec) -> None:
    rows, unified = table(ws, steered), table(ws, do(ws, "unified"))
    assert (len(rows), set(rows["variant"])) == (ROWS, {"steering"})
    assert set(rows["protocol"]) == set(unified["protocol"])
    assert rows["reply"].nunique() > 1
    personas = read_json(ws.adapters(steered.run_id) / "personas.json")
    assert {one["kind"] for effects in personas.values() for one in effects} == {"activations"}
    assert all(record["val_losses"] for record in read_json(ws.run_folder(steered.run_id) / "training.json"))


@pytest.mark.parametrize(
    ("experiment", "parameters", "variant"),
    [
        ("retrieval", {"over": "steering", "k": 2}, "steering+retrieval-2"),
        ("mixture", {"first": "steering", "second": "base", "weights": 0.6}, "mixture-0.6-steering-base"),
        ("placebo", {"of": "steering"}, "steering~placebo"),
        ("routing", {"among": ["unified", "steering"], "margin": 0.0}, "routing"),
    ],
)
def test_what_ships_builds_on_it(
    ws: Workspace, steered: RunSpec, experiment: str, parameters: dict[str, Any], variant: str
) -> None:
    spec = do(ws, experiment, **parameters)
    assert steered.run_id in spec.upstream.values()
    rows = table(ws, spec)
    assert (set(rows["variant"]), len(rows)) == ({variant}, ROWS)
    if experiment in ("mixture", "placebo"):
        assert (rows["reply"].to_numpy() != table(ws, steered)["reply"].to_numpy()).any()


def test_it_is_compared_with_its_placebo_beside_it(ws: Workspace, steered: RunSpec) -> None:
    do(ws, "placebo", of="steering")
    found = {
        row["variant"]: row
        for row in compare_variants(ws, metric="embedding_similarity", split="val")["rows"]
    }
    assert found["steering"]["role"] == ""
    assert found["steering"]["above_placebo"]["placebo"] == "steering~placebo"
    assert found["steering~placebo"]["role"] == "placebo"


def test_the_report_has_it_with_its_controls_and_says_whose_code_it_is(ws: Workspace, own: Path) -> None:
    do(ws, "matched", to="steering")
    store.refresh(ws)
    text = as_markdown(compose(ws))
    assert "python -m engine run matched --set to=steering" in text
    assert text.index(f"python -m engine machine --approve {own}") < text.index(
        "python -m engine run steering"
    )


def test_it_is_chatted_with_and_shown_with_its_lineage(ws: Workspace, steered: RunSpec) -> None:
    do(ws, "routing", among=["unified", "steering"], margin=0.0)
    store.refresh(ws)
    variants = [one for one in store.variants(ws) if one.name in ("steering", "routing")]
    assert all(can_answer(one) for one in variants)
    persona = load_dataset(ws).personas[0].persona_id
    from engine.lm.load import load_base

    speakers = tuple(Speaker(one.variant, one.variant_id, dict(one.recipe)) for one in variants)
    question = Question(new_id(), persona, "It is dark.", speakers, max_new_tokens=6)
    waiting = Answer(question.question_id, "answering", replies=tuple(Reply() for _ in speakers))
    going = Answering(Stage(ws, load_base(steered.base)), question, waiting)
    while (told := going.step()).state not in ("done", "failed"):
        pass
    assert told.state == "done"
    by_name = {one.name: reply for one, reply in zip(variants, told.replies, strict=True)}
    assert all(reply.finished and not reply.error for reply in told.replies)
    (side,) = by_name["steering"].lineage["sides"]
    (adapter,) = side["adapters"]
    assert (adapter["kind"], adapter["run"], adapter["experiment"]) == (
        "activations",
        steered.run_id,
        "steering",
    )
    assert by_name["routing"].lineage["routes"][0]["variant"] in ("unified", "steering")


def test_a_full_study_takes_over_what_its_pilot_trained_and_nothing_trained_otherwise(ws: Workspace) -> None:
    pilot = do(ws, "steering", personas=2, epochs=2)
    assert trained_from(ws, pilot) == {None}
    assert trained_from(ws, do(ws, "steering", epochs=2)) == {None, pilot.run_id}
    assert trained_from(ws, do(ws, "steering", epochs=2, layer=0)) == {None}  # a parameter nobody knew before


def test_its_form_is_in_the_app_and_on_the_command_line(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["experiments", "steering", "--json", "--workspace", str(ws.root)]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["experiments"]
    assert "layer" in [one["name"] for one in entry["parameters"]]
    assert main(["experiments", "--workspace", str(ws.root)]) == 0
    assert "Does an offset of her own" in capsys.readouterr().out
    monkeypatch.setenv("PERSONA_LAB_WORKSPACE", str(ws.root))
    app = AppTest.from_file(str(REPOSITORY / "pages" / "shared" / "script.py"), default_timeout=240)
    app.run()
    app.switch_page(frame.script_of("experiments")).run()
    assert any("Steering" in one.label for one in app.expander)
    app.query_params["experiment"] = "steering"
    app.switch_page(frame.script_of("experiments")).run()
    assert not app.exception
    assert app.number_input(key="experiments_steering_layer").value == 1
    app.query_params["experiment"] = "placebo"
    app.switch_page(frame.script_of("experiments")).run()
    assert "steering" in app.selectbox(key="experiments_placebo_of").options


def test_other_workspaces_know_nothing_of_it(ws: Workspace, tmp_path: Path, steered: RunSpec) -> None:
    assert "steering" in registry.experiments(ws)
    assert "steering" not in registry.experiments(Workspace(tmp_path))
    assert "steering" not in registry.EXPERIMENTS


def test_changed_code_makes_other_runs_once_it_is_approved(
    ws: Workspace, own: Path, steered: RunSpec
) -> None:
    before = own.read_text(encoding="utf-8")
    try:
        own.write_text(f"{before}\n# another thought\n", encoding="utf-8")
        with pytest.raises(EngineError, match="not approved"):
            clone(ws, steered.run_id)
        extensions.approve(ws, own)
        assert plan(ws, "steering", SETTINGS).target.run_id != steered.run_id
    finally:
        own.write_text(before, encoding="utf-8")
        extensions.approve(ws, own)
    assert plan(ws, "steering", SETTINGS).target.run_id == steered.run_id
    assert read_recipe(read_json(ws.run_folder(steered.run_id) / "done.json")["variants"][0]["recipe"])
