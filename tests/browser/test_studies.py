"""Several studies in one app, each tab by its address; and the keyboard: where it is, and what it opens."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from engine.core.opened import name_in_address, remember
from engine.core.paths import Workspace
from tests.browser.conftest import Open
from tests.sample_study import prepare_world

pytestmark = pytest.mark.browser


def _switcher(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebar").get_by_role("button", name=name, exact=False).last.click()


def test_a_tab_goes_to_another_study_and_stays_there(
    visit: Open, full_app: str, full: Workspace, tmp_path: Path
) -> None:
    other = prepare_world(tmp_path / "pilot", personas=4, dialogues=5)
    remember(other)
    name = name_in_address(other)
    tab, beside = visit(full_app), visit(full_app)
    page = tab.go()
    _switcher(page, full.root.name)
    page.get_by_role("link", name="Open pilot").click()
    expect(page).to_have_url(re.compile(f"/{name}.study"))
    expect(page.get_by_text("4 personas")).to_be_visible()
    page.get_by_role("link", name="Data", exact=True).click()
    expect(page).to_have_url(re.compile(f"/{name}.data"))
    tab.settle()
    page.reload()
    expect(page.get_by_role("heading", name="Data")).to_be_visible()
    expect(page.get_by_text("pilot", exact=False).first).to_be_visible()
    expect(beside.go().get_by_text("12 personas").first).to_be_visible()  # another tab of the same server
    tab.settle()
    _switcher(page, "pilot")
    folder = page.get_by_label("New study, in the folder")
    folder.fill(str(tmp_path / "not-there-yet"))
    page.get_by_role("button", name="New study").click()
    page.get_by_role("link", name="Open not-there-yet").last.click()
    expect(page.get_by_role("button", name="Prepare 20 personas")).to_be_visible()
    tab.settle()
    tab.assert_clean()
    shutil.rmtree(other.root)
    page.goto(f"{full_app}/{name}.compare")
    expect(page.get_by_role("heading", name="This study is not here")).to_be_visible()
    page.get_by_role("link", name=f"Open {full.root.name}").click()
    expect(page.get_by_text("12 personas").first).to_be_visible()


def test_the_keyboard_is_seen_and_opens_a_row(visit: Open, full_app: str) -> None:
    """Also in tables that come with a row selected, from that row on."""
    tab = visit(full_app)
    for path, opened in (("compare", "candidate"), ("runs", "run"), ("data?view=dialogues", "dialogue")):
        page = tab.go(path)
        expect(page.get_by_text("Enter opens it").first).to_be_visible()
        page.locator("[data-testid='stDataFrame'] canvas").first.focus()
        current = page.locator("[data-testid='stDataFrame'] td:focus")
        current.wait_for(state="attached")
        before = page.url
        for key in ("ArrowDown", "ArrowDown", "Enter"):
            page.keyboard.press(key)
        page.wait_for_function("before => location.href !== before", arg=before)
        was, now = (parse_qs(urlsplit(url).query)[opened] for url in (before, page.url))
        assert now != was
        tab.settle()
    expect(page.get_by_text("Dialogue 3", exact=True)).to_be_visible()
    here = page.get_by_test_id("stSidebar").get_by_role("link", name="Data", exact=True)
    there = page.get_by_test_id("stSidebar").get_by_role("link", name="Runs", exact=True)
    page.get_by_test_id("stSidebar").get_by_role("link", name="Persona", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    frames = "one => getComputedStyle(one).outlineStyle"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert {here.evaluate(frames), there.evaluate(frames)} == {"none"}
    tab.assert_clean()
