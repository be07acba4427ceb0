"""The tree of the Study page in a real browser: its boxes, its lines, clicks on it, and both widths."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open

pytestmark = pytest.mark.browser


def test_a_box_is_clicked_and_told_about(visit: Open, full_app: str) -> None:
    tab = visit(full_app)
    page = tab.go()
    box = page.get_by_role("button", name=re.compile(r"^Retrieval from history, "))
    expect(box).to_be_visible()
    expect(page.get_by_role("button", name=re.compile(r"^Routing by validation, Ready"))).to_have_class(
        re.compile("next")
    )
    box.click()
    expect(page).to_have_url(re.compile("node=retrieval"))
    expect(page.get_by_text("the best of 3 on val")).to_be_visible()
    expect(page.get_by_role("button", name="Copy link")).to_be_visible()
    expect(box).to_have_attribute("aria-pressed", "true")
    page.get_by_role("radio", name="Cluster rescue").click()
    expect(page.get_by_role("button", name=re.compile(r"^Weighted merge of a cluster, "))).to_be_visible()
    tab.settle()
    tab.assert_clean()


@pytest.mark.parametrize(("width", "columns"), [(1440, 2), (390, 1)])
def test_the_boxes_stand_in_columns_where_there_is_room(
    visit: Open, full_app: str, width: int, columns: int
) -> None:
    page = visit(full_app, width=width).go()
    start = page.get_by_role("button", name=re.compile(r"^Unified LoRA, "))
    result = page.get_by_role("button", name=re.compile(r"^Use retrieval, "))
    press = page.get_by_role("button", name="Run Routing by validation").bounding_box()
    assert press
    assert press["y"] + press["height"] <= 844  # the next step's button needs no scrolling
    gate = page.get_by_role("button", name=re.compile(r"^Retrieval from history, "))
    expect(result).to_be_visible()
    here, there, above = (one.bounding_box() for one in (gate, result, start))
    assert here
    assert there
    assert above
    beside = there["x"] >= here["x"] + here["width"]
    assert beside == (columns == 2)
    assert above["y"] + above["height"] <= here["y"]
    assert there["x"] + there["width"] <= width


def test_the_tree_is_walked_by_keyboard(visit: Open, full_app: str) -> None:
    tab = visit(full_app)
    page = tab.go()
    page.get_by_role("button", name=re.compile(r"^Unified LoRA, ")).focus()
    page.keyboard.press("Tab")
    box = page.get_by_role("button", name=re.compile(r"^Routing by validation, "))
    expect(box).to_be_focused()
    page.keyboard.press("Tab")
    gate = page.get_by_role(
        "button", name=re.compile(r"^Retrieval from history, .*if yes Use retrieval, if no Cluster")
    )
    expect(gate).to_be_focused()
    assert gate.evaluate("box => getComputedStyle(box).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("node=retrieval"))
    expect(gate).to_have_attribute("aria-pressed", "true")
    expect(gate).to_be_focused()
    tab.settle()
    tab.assert_clean()


def test_on_a_telephone_a_click_leads_to_what_it_tells(visit: Open, full_app: str) -> None:
    page = visit(full_app, width=390).go()
    page.get_by_role("button", name=re.compile(r"^Retrieval from history, ")).click()
    expect(page.get_by_text("the best of 3 on val")).to_be_in_viewport()
