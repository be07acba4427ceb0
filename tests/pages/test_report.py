"""The report page: nothing to report, writing it, and what stands beside a written one."""

from __future__ import annotations

import pytest

from engine.core.paths import Workspace
from engine.show.report import making
from tests.pages.conftest import Open, texts
from tests.sample_study import finish, prepare_world
from tests.workspaces import eventually


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with two variants scored."""
    ws = prepare_world(tmp_path_factory.mktemp("report") / "scored", personas=5, dialogues=6)
    finish(ws, "unified", per_persona=3)
    return ws


def test_without_scores_the_page_leads_on(open_page: Open, empty: Workspace, prepared: Workspace) -> None:
    assert "No data yet" in texts(open_page(empty, "report"))
    assert "Nothing is scored yet" in texts(open_page(prepared, "report"))


def test_the_button_writes_the_report_in_a_process_of_its_own(open_page: Open, scored: Workspace) -> None:
    app = open_page(scored, "report")
    assert "No report yet" in texts(app)
    app.button(key="report_write").click().run()
    assert not app.exception
    assert not app.error
    made = eventually(
        lambda: (found := making.status(scored)) and found.state == "made" and found, timeout_seconds=300
    )
    assert made.prints == making.prints(scored)
    app.run()
    seen = texts(app)
    assert "Up to date" in seen
    assert {"report_html", "report_md", "report_zip"} <= {button.key for button in app.get("download_button")}

    again = making.make(scored)
    assert again.same is True
    assert "byte for byte" in texts(open_page(scored, "report"))

    finish(scored, "profile-prompt", per_persona=3)
    assert "Results have changed since" in texts(open_page(scored, "report"))


def test_a_failed_making_says_why(open_page: Open, scored: Workspace) -> None:
    (scored.root / "report").mkdir(exist_ok=True)
    (scored.root / "report" / "figures").mkdir(exist_ok=True)
    (scored.root / "report" / "report.md").unlink(missing_ok=True)
    (scored.root / "report" / "report.html").unlink(missing_ok=True)
    assert making.make(scored).state == "failed"
    app = open_page(scored, "report")
    assert any("no report" in entry.value.replace("\\", "") for entry in app.error)
    assert app.button(key="report_write").label == "Write the report"
