"""The runs page in a browser: what starts is seen, a run is marked, deleted and brought back, files saved."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from engine.runs import jobs, labels
from tests.browser.conftest import Open, served
from tests.many_runs import leave_history
from tests.sample_study import finish, prepare_world

pytestmark = pytest.mark.browser


def test_runs_are_seen_marked_deleted_brought_back_and_saved(visit: Open, tmp_path: Path) -> None:
    ws = prepare_world(tmp_path / "runs", personas=5, dialogues=8)
    with served(ws.root) as address:
        tab = visit(address)
        page = tab.go("runs")
        expect(page.get_by_text("No run yet")).to_be_visible()
        finish(ws, "unified", "retrieval", per_persona=2)  # as somebody else, or the autopilot, would
        (trained,) = leave_history(ws, 1, steps=3)
        expect(page.get_by_text("4 done")).to_be_visible()
        expect(page.get_by_text("No run yet")).to_have_count(0)
        for record in jobs.list_runs(ws):
            assert record.state == "succeeded"
        tab.go(f"runs?run={trained}")
        page.get_by_role("button", name="Star", exact=False).click()
        expect(page.get_by_role("button", name="Unstar")).to_be_visible()
        assert labels.read(ws)[trained].star
        svg = _saved(page, "Save chart", "SVG").decode()
        assert f"Loss of {trained} in training and validation by step" in svg
        table = pd.read_csv(io.BytesIO(_saved(page, "Save table", "CSV")))
        assert set(table["run_id"]) == {record.run_id for record in jobs.list_runs(ws)}
        packed = zipfile.ZipFile(io.BytesIO(_saved(page, "For other trackers", re.compile("MLflow"))))
        assert sum(name.endswith("tags/mlflow.runName") for name in packed.namelist()) == len(table)
        page.get_by_role("button", name="Delete", exact=False).first.click()
        page.get_by_role("button", name="Delete 1 run").click()
        expect(page.get_by_text(f"{trained} deleted.")).to_be_visible()
        expect(page.get_by_text("3 done")).to_be_visible()
        assert trained not in {record.run_id for record in jobs.list_runs(ws)}
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("4 done")).to_be_visible()
        assert labels.read(ws)[trained].star
        tab.assert_clean()


def _saved(page: Page, menu: str, form: str | re.Pattern[str]) -> bytes:
    """Take a file from the first menu of its kind."""
    page.get_by_role("button", name=menu, exact=False).first.click()
    with page.expect_download() as held:
        page.get_by_role("button", name=form, exact=True).click()
    page.keyboard.press("Escape")
    return Path(held.value.path()).read_bytes()
