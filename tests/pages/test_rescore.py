"""A metric of a user's own: one file, approved; after `rescore` an existing study shows it everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli import main
from engine.core import extensions
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.results import rescoring, store
from engine.results.comparing.comparison import NotComputed, compare_variants
from engine.results.trees.tree_check import read_tree
from engine.runs import answers
from engine.strategies import registry
from engine.strategies.plan import look
from pages.shared import launch_fields
from tests.pages.conftest import Open, texts
from tests.recipes import recipe
from tests.sample_study import finish, prepare_world
from tests.workspaces import make_workspace

OWN = recipe("metric")
TREE = """
title: Polite
question: Is it polite?
reference: unified
gate:
  metric: politeness
  over_reference: 0.01
nodes:
  - {id: unified, experiment: unified, then: base}
  - {id: base, experiment: base, passed: good, failed: bad}
  - {id: good, result: Polite, use: [base]}
  - {id: bad, result: Rude, use: [unified]}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_world(tmp_path_factory.mktemp("study"), personas=4, dialogues=8)
    for experiment in ("base", "unified"):
        finish(ws, experiment, per_persona=3)
    store.refresh(ws)
    return ws


@pytest.fixture(scope="module")
def own(study: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The study, with a file of a user's own named and approved."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        path = folder / "polite.py"
        path.write_text(OWN, encoding="utf-8")
        extensions.name_file(study, path)
        extensions.approve(study, path)
        yield study


def finished_files(ws: Workspace) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(ws.runs.rglob("*")) if path.is_file()}


def test_a_metric_in_one_file_is_shown_after_rescore_without_generating(
    own: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    before = finished_files(own)
    with pytest.raises(NotComputed, match="not scored in Politeness"):
        compare_variants(own, metric="politeness")
    assert set(store.missing(own)) == {"politeness"}

    assert main(["rescore", "--workspace", str(own.root), "--metric", "politeness", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)["rescored"]
    assert {one["metric"] for one in done} == {"politeness"}
    assert len(done) == 2
    assert finished_files(own) == before
    assert store.missing(own) == {}
    assert rescoring.rescore(own) == []

    found = compare_variants(own, metric="politeness")
    assert {row["variant"] for row in found["rows"]} == {"base", "unified"}
    assert found["unscored"] == []
    said = store.example_rows(own)
    said = said[said["variant"] == "base"]
    courteous = said["reference"].str.lower().str.contains("the")
    assert said["politeness"].isna().tolist() == (~courteous).tolist()

    assert main(["compare", "--workspace", str(own.root), "--metric", "politeness"]) == 0
    assert "Politeness on val" in capsys.readouterr().out

    store.rebuild(own)
    rebuilt = compare_variants(own, metric="politeness")
    assert [row["mean"] for row in rebuilt["rows"]] == [row["mean"] for row in found["rows"]]


def test_gates_and_routing_take_it(own: Workspace) -> None:
    look(own)
    read_tree(TREE, name="polite")
    with pytest.raises(EngineError, match="politenes"):
        read_tree(TREE.replace("metric: politeness", "metric: politenes"), name="polite")
    (field,) = (
        one for one in launch_fields.fields_of(registry.get("routing").parameters) if one.name == "metric"
    )
    assert "politeness" in field.choices
    assert "length_ratio" not in field.choices  # neither more nor less of it is better


def test_the_page_offers_to_compute_it_and_shows_it(own: Workspace, open_page: Open) -> None:
    rescoring.rescore(own)
    for one in store.variants(own):
        for path in answers.later_files(own, one.run_id):
            path.unlink()
    app = open_page(own, "compare", metric="politeness")
    assert "not scored in Politeness" in texts(app)
    app.button(key="rescore_politeness").click().run()
    assert not app.exception
    assert app.selectbox(key="compare_metric").value == "politeness"
    assert set(app.dataframe[0].value["variant"]) == {"base", "unified"}


def test_rescored_values_are_what_routing_reads(own: Workspace) -> None:
    rescoring.rescore(own)
    metric = metrics.of_study(own)["politeness"]
    run_id = next(one.run_id for one in store.variants(own) if one.variant == "unified")
    values = answers.read(own, run_id).values(metric)
    rows = store.score_table(own, metric="politeness", split="test")
    mine = values[values["split"] == "test"].set_index("example_id")["value"].sort_index()
    theirs = rows[rows["variant"] == "unified"].set_index("example_id")["value"].sort_index()
    assert mine.equals(theirs)


def test_scores_of_a_run_that_was_done_again_do_not_count(own: Workspace) -> None:
    rescoring.rescore(own)
    run_id = next(one.run_id for one in store.variants(own) if one.variant == "base")
    done = own.run_folder(run_id) / "done.json"
    done.write_text(done.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert store.missing(own) == {"politeness": (run_id,)}
    assert compare_variants(own, metric="politeness")["unscored"] == ["base"]
    rescoring.rescore(own)
    assert compare_variants(own, metric="politeness")["unscored"] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("METRICS = ('politeness',)", "is no Metric"),
        (OWN.replace('name="politeness"', 'name="device_f1"'), "there is a metric of that name"),
        (OWN.replace("of_texts=", "nothing="), "failed while it was read"),
    ],
)
def test_a_faulty_file_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    ws = make_workspace(tmp_path)
    path = tmp_path / "own.py"
    path.write_text(text, encoding="utf-8")
    extensions.name_file(ws, path)
    extensions.approve(ws, path)
    with pytest.raises(EngineError, match=told) as refused:
        metrics.of_study(ws)
    assert str(path) in refused.value.message


def test_a_metric_that_fails_leaves_nothing(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    rescoring.rescore(own)
    run_id = next(one.run_id for one in store.variants(own) if one.variant == "base")
    for path in answers.later_files(own, run_id):
        path.unlink()
    metric = metrics.of_study(own)["politeness"]
    monkeypatch.setattr(type(metric), "values_of", lambda *_: {"": float("nan")})
    with pytest.raises(EngineError, match="politeness gave nan"):
        rescoring.rescore(own)
    assert answers.later_files(own, run_id) == []
