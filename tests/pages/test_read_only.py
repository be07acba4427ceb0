"""A workspace that is only looked at can be browsed, and no page writes into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs.records import scan
from engine.serve import folder
from tests.closed import WAYS, changed, closed, study_in_the_middle, tree
from tests.pages.conftest import Open

PAGES = ("home", "experiments", "runs", "compare", "persona", "playground", "data", "report", "settings")
PAGES += ("statistics", "votes")


@pytest.mark.parametrize("how", WAYS)
def test_every_page_can_be_browsed_and_nothing_is_written(
    tmp_path: Path,
    open_page: Open,
    how: str,
) -> None:
    study = study_in_the_middle(tmp_path / "study")
    (question,) = folder.recent_questions(study)
    with closed(study, how):
        before = tree(study.root)
        for page in PAGES:
            open_page(study, page)
            assert changed(before, tree(study.root)) == [], page
        for record in scan(study):
            open_page(study, "runs", run=record.run_id)
        open_page(study, "playground", question=question.question_id)
        assert changed(before, tree(study.root)) == []
