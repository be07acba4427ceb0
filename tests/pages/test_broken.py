"""One input that cannot be read hides nothing that does not need it, and is said with its remedy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.core import extensions
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.runs import jobs
from engine.strategies.plan import plan
from tests.pages.conftest import texts
from tests.sample_study import cluster_into

Open = Callable[..., AppTest]
PAGES = ("home", "experiments", "runs", "compare", "persona", "data", "report", "settings")
NO_JSON = "{ cut"


@pytest.fixture
def copied(full: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(full.root, tmp_path / "broken")))


def test_a_tree_that_is_not_sound_hides_no_answer_and_not_who_loses(
    copied: Workspace, open_page: Open
) -> None:
    trees = copied.data / "trees"
    trees.mkdir()
    (trees / "mine.yaml").write_text("title: [cut")
    told = texts(open_page(copied, tree="mine"))
    assert "The tree 'mine' is not sound." in told
    assert "Leader on validation" in told
    assert "Each persona under" in told


def test_settings_that_cannot_be_read_close_the_workspace_and_hide_no_page(
    copied: Workspace, open_page: Open
) -> None:
    (copied.data / "machine.json").write_text(NO_JSON)
    for page in PAGES:
        app = open_page(copied, page)
        told = texts(app)
        assert "machine.json is of another form" in told, page
        assert "Mend it, or delete machine.json." in told, page
        assert app.subheader or app.expander, page
    assert {one.disabled for one in open_page(copied).button if one.label.startswith("Run ")} == {True}


def test_code_of_ones_own_that_fails_closes_the_workspace_and_hides_no_page(
    copied: Workspace, open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    own = tmp_path / "own.py"
    own.write_text("import nothing_of_this_name\n")
    extensions.name_file(copied, own)
    extensions.approve(copied, own)
    for page, stands in (
        ("home", "Leader on validation"), ("compare", "How large is the difference?"),
        ("persona", "Which variant serves this persona best?"), ("settings", "Is everything in order?"),
    ):  # fmt: skip
        app = open_page(copied, page)
        assert "No module named" in texts(app), page
        assert stands in texts(app), page
    assert {one.disabled for one in open_page(copied).button if one.label.startswith("Run ")} == {True}
    with pytest.raises(EngineError, match="failed while it was read"):
        metrics.of_study(copied)  # who computes is refused


def test_who_a_persona_is_stands_when_the_scores_cannot_be_compared(
    copied: Workspace, open_page: Open
) -> None:
    (copied.data / "references.json").write_text(NO_JSON)
    for page, stands in (
        ("persona", "Character and routines"), ("runs", "Ceiling"), ("data", "Lengths"),
        ("settings", "Is everything in order?"), ("home", "Recent runs"),
    ):  # fmt: skip
        told = texts(open_page(copied, page))
        assert "references.json is of another form" in told, page
        assert stands in told, page


@pytest.mark.parametrize("name", ["splits/splits.json", "references.json"])
def test_what_is_broken_is_said_once_on_a_page(copied: Workspace, open_page: Open, name: str) -> None:
    (copied.data / name).write_text(NO_JSON)
    for page in ("home", "compare", "persona", "data", "playground"):
        app = open_page(copied, page)
        said = [entry.value for kind in ("error", "warning") for entry in getattr(app, kind)]
        assert len([text for text in said if Path(name).stem in text]) == 1, (page, said)
        assert any(one.value.startswith("python -m engine") for one in app.code), page


def test_scores_stand_when_the_data_cannot_be_read(copied: Workspace, open_page: Open) -> None:
    (copied.dataset / "personas.jsonl").write_text(NO_JSON)
    (copied.splits / "splits.json").write_text(NO_JSON)
    for page, stands in (
        ("home", "Who loses most on validation"), ("compare", "How large is the difference?"),
        ("persona", "Which variant serves this persona best?"), ("data", "Lengths"),
    ):  # fmt: skip
        told = texts(open_page(copied, page))
        assert stands in told or "nobody is worse off" in told, page


def test_runs_stand_without_their_labels_and_a_study_without_its_clusters(
    copied: Workspace, open_page: Open
) -> None:
    cluster_into(copied, 2)
    (copied.run_folder(plan(copied, "clustering", {"k": [2]}).target.run_id) / "clusters.json").write_text(
        NO_JSON
    )
    (copied.data / "labels.jsonl").mkdir()
    (copied.dataset / "card.json").write_text(NO_JSON)
    runs, home, data = (open_page(copied, page) for page in ("runs", "home", "data"))
    assert "labels.jsonl is a folder" in texts(runs)
    assert runs.dataframe
    assert sum("clusters.json" in one.value for one in (*home.error, *home.warning)) == 1
    assert "Decision tree" in {one.label for one in home.get("button_group")}
    assert "Splits" in {one.value for one in data.subheader}


def test_the_next_step_stands_when_the_autopilots_state_is_torn(copied: Workspace, open_page: Open) -> None:
    (copied.data / "autopilot").mkdir()
    (copied.data / "autopilot" / "state.json").write_text(NO_JSON)
    told = texts(open_page(copied))
    assert "Next step:" in told
    assert "Delete it and start again." in told


def test_a_run_whose_folder_is_damaged_is_missed_aloud(copied: Workspace, open_page: Open) -> None:
    run = next(one.run_id for one in jobs.list_runs(copied) if one.experiment == "retrieval")
    (copied.run_folder(run) / "scores.parquet").write_text(NO_JSON)
    (copied.run_folder(run) / "done.json").touch()
    for page in ("home", "compare"):
        told = texts(open_page(copied, page))
        assert f"{run} cannot be read, so nothing of it is shown here" in told
        assert "doctor --workspace" in told
