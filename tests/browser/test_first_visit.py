"""The first visit in a real browser: from an empty folder to a verdict in few clicks, with real runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from engine.core.paths import Workspace
from engine.data.prepare import write_base
from engine.runs import jobs
from engine.runs.records import scan
from tests.browser.conftest import Open, served
from tests.tiny_base import save_tiny_base

pytestmark = pytest.mark.browser
_RUNS_MS = 1_800_000  # two real runs over 20 personas, on a busy machine
_MOST_CLICKS = 2


def test_a_first_visit_reaches_a_verdict_in_two_clicks_on_one_page(
    visit: Open, browser: object, tmp_path: Path
) -> None:
    ws = Workspace(tmp_path / "fresh")
    clicks: list[str] = []

    def click(what: Locator) -> None:
        clicks.append(what.inner_text())
        what.click(timeout=_RUNS_MS)

    try:
        with served(ws.root) as address:
            tab = visit(address)
            page = tab.go()
            click(page.get_by_role("button", name="Prepare 20 personas"))
            expect(page.get_by_role("heading", name="Study")).to_be_visible()
            _answer_faster(ws, tmp_path)
            tab.go()
            click(page.get_by_role("button", name="Get a first verdict"))
            dock = page.get_by_test_id("stSidebar")
            expect(dock.get_by_role("progressbar").first).to_be_visible()
            expect(dock.get_by_role("button", name="Cancel").first).to_be_visible()
            expect(page.get_by_text("The answer so far")).to_be_visible(timeout=_RUNS_MS)  # by itself
            expect(page.get_by_text(re.compile("Leader on val"))).to_be_visible(timeout=_RUNS_MS)
            tab.settle()
            provisional = page.get_by_text("Provisional, on validation").filter(visible=True)
            expect(provisional).to_have_count(1)
            tab.settle()
            tab.assert_clean()
    finally:
        for record in scan(ws):
            if not record.ended:
                jobs.cancel(ws, record.run_id, grace_seconds=0.0)
    assert len(clicks) <= _MOST_CLICKS, clicks


def _answer_faster(ws: Workspace, folder: Path) -> None:
    """Put a far smaller base in the place of the embedded one: what is watched here are the clicks."""
    write_base(ws, str(save_tiny_base(folder / "base")))


def test_an_upload_of_a_bad_file_shows_its_faults_and_a_good_one_comes_in(
    visit: Open, browser: object, tmp_path: Path
) -> None:
    lines = [json.dumps(row) for row in _rows()]
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text("\n".join(lines))
    bad.write_text("\n".join([lines[0][:-9], *lines[1:]]))
    with served(tmp_path / "fresh") as address:
        tab = visit(address)
        page = tab.go("data")
        page.get_by_text("Upload files", exact=True).click()
        upload = page.get_by_test_id("stFileUploader").filter(has_text="Dialogues of many people")
        tab.upload(upload, bad)
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.get_by_test_id("stDataFrame")).to_be_visible()
        expect(page.get_by_test_id("stAlert").first).to_contain_text("1 fault")
        assert not Workspace(tmp_path / "fresh").config.exists()
        page = tab.go("data")
        page.get_by_text("Upload files", exact=True).click()
        tab.upload(upload, good)
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.get_by_text("No overlap")).to_be_visible()
        tab.settle()
        tab.assert_clean()


def _rows() -> list[dict[str, Any]]:
    """Six personas with six dialogues each, in the layout of one dialogue a line."""
    return [
        {
            "persona_id": f"u{persona}",
            "session_id": session,
            "messages": [
                {"role": "user", "content": f"Please set the lights to {persona}{session} percent."},
                {"role": "assistant", "content": f"The lights are at {persona}{session} percent."},
            ],
        }
        for persona in range(1, 7)
        for session in range(6)
    ]
