"""The compare page in a browser: clicks and drags on charts, coming back, deep links, the study upload."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Visit, served

pytestmark = pytest.mark.browser

CHARTS = "[data-testid='stVegaLiteChart']"
MAIN = "document.getElementById('stMain')"
SAYS_SO = """one => {
    window.said = [];
    new MutationObserver(() => said.push(one.textContent)).observe(one, {childList: true});
}"""
TO_A_PERSONA = re.compile(
    r"/persona\?persona=persona_\d+&variant=base&metric=\w+&split=val&reference=unified"
)


def test_from_compare_to_a_persona_and_back_keeps_the_state(visit: Open, full_app: str) -> None:
    tab = visit(full_app)
    page = tab.go("compare?view=personas&candidate=base&metric=device_f1")
    _click_a_column(tab, 0.9)
    expect(page).to_have_url(TO_A_PERSONA)
    tab.settle()
    page.go_back()
    _expect_the_state(page)
    _click_a_column(tab, 0.5)
    expect(page).to_have_url(TO_A_PERSONA)
    tab.settle()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Compare").click()
    _expect_the_state(page)
    expect(page).to_have_url(re.compile("metric=device_f1"))
    tab.assert_clean()


def _click_a_column(tab: Visit, share: float) -> None:
    """Click into the bars at a share of their width; the whole column of a persona is clickable."""
    tab.settle()
    chart = tab.page.locator(CHARTS).first
    chart.locator("path[aria-roledescription='bar']").first.wait_for(state="attached")
    box = chart.bounding_box()
    assert box is not None
    chart.click(position={"x": share * box["width"], "y": 0.4 * box["height"]})


def _expect_the_state(page: Page) -> None:
    expect(page).to_have_url(re.compile(r"/compare\?"))
    expect(page.get_by_role("heading", name="Who gains, who loses?")).to_be_visible()
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("Device F1")
    expect(page.get_by_role("combobox", name="Variant")).to_have_value("base")


def test_a_cell_of_the_heatmap_opens_its_persona_and_variant(visit: Open, full_app: str) -> None:
    page = visit(full_app).go("compare?view=heatmap")
    cells = page.locator("[data-testid='stVegaLiteChart'] path[aria-label*='Variant: base']")
    cells.first.click()
    expect(page).to_have_url(TO_A_PERSONA)


def test_a_drag_over_the_spread_lists_the_personas_within(visit: Open, full_app: str) -> None:
    tab = visit(full_app)
    page = tab.go("compare?view=personas&candidate=base")
    spread = page.locator(CHARTS).last
    spread.locator("path[aria-roledescription]").first.wait_for(state="attached")
    spread.scroll_into_view_if_needed()
    box = spread.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.98 * box["width"], box["y"] + 0.5 * box["height"], steps=8)
    page.mouse.up()
    expect(page.get_by_role("radio", name=re.compile(r"Marked in a chart \(\d+\)"))).to_be_visible()
    tab.assert_clean()


def test_a_click_on_an_interval_chooses_the_variant(visit: Open, full_app: str) -> None:
    page = visit(full_app).go("compare")
    page.locator("[data-testid='stVegaLiteChart'] path[aria-label*='profile-prompt']").last.click()
    expect(page).to_have_url(re.compile("candidate=profile-prompt"))
    expect(page.get_by_role("heading", name="profile-prompt")).to_be_visible()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("compare?reference=base&split=test", "Test is not judged yet"),
        ("compare?view=heatmap&sort=name", "One column a persona"),
        ("compare?view=cost&cost=latency", "The front"),
        ("compare?view=certainty&candidate=base&effect=5", "To see a true difference of"),
    ],
)
def test_deep_links_open_what_they_name(visit: Open, full_app: str, address: str, shown: str) -> None:
    tab = visit(full_app, scheme="dark", width=390)
    page = tab.go(address)
    expect(page.get_by_text(shown).first).to_be_visible()
    for told in address.partition("?")[2].split("&"):
        expect(page).to_have_url(re.compile(f"[?&]{told}(&|$)"))
    tab.assert_clean()


def test_one_press_of_back_undoes_one_thing_and_a_copied_link_opens_the_same(
    visit: Open, full_app: str
) -> None:
    tab = visit(full_app)
    page = tab.go("compare?candidate=base")
    expect(page).to_have_url(re.compile("view=table"))
    entries = page.evaluate("history.length")
    tab.settle()
    page.get_by_text("Why?", exact=True).click()
    expect(page.get_by_role("heading", name="The largest losses")).to_be_visible()
    expect(page).to_have_url(re.compile(r"view=why.*example="))
    tab.settle()
    main = page.locator("[data-testid='stMain']")
    page.wait_for_function(f"{MAIN}.scrollHeight - {MAIN}.clientHeight >= 400")
    main.evaluate("main => main.scrollTo(0, 400)")
    page.get_by_test_id("stSidebar").get_by_role("link", name="Persona").click()
    expect(page).to_have_url(re.compile(r"/persona\?.*example="))
    expect(page).to_have_title(re.compile(r"persona_000 \(\w+\) · full"))
    tab.settle()
    assert page.evaluate("history.length") == entries + 2
    page.go_back()
    expect(page.get_by_role("heading", name="The largest losses")).to_be_visible()
    page.wait_for_function(f"{MAIN}.scrollTop > 300")
    tab.settle()
    shown = page.url
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = page.get_by_role("button", name="Copy link")
    copy.evaluate(SAYS_SO)
    copy.click()
    page.wait_for_function("said.includes('Copied')")  # for two seconds
    assert page.evaluate("navigator.clipboard.readText()") == shown
    page.reload()
    expect(page.get_by_role("heading", name="The largest losses")).to_be_visible()
    expect(page).to_have_url(shown)
    tab.settle()
    page.go_back()
    expect(page.get_by_role("heading", name="How large is the difference?")).to_be_visible()
    expect(page).to_have_url(re.compile("candidate=base"))
    tab.settle()
    tab.assert_clean()


def test_a_mark_on_a_reply_is_kept_and_counted(visit: Open, full_app: str) -> None:
    tab = visit(full_app)
    page = tab.go("compare?view=why&candidate=base")
    page.locator(".looked-at").get_by_role("button", name="Wrong").click()
    expect(page.get_by_role("button", name="✓ Wrong")).to_have_attribute("aria-pressed", "true")
    tab.settle()  # it shows at once, and is kept by the server
    page.reload()
    expect(page.get_by_role("button", name="✓ Wrong")).to_be_visible()
    expect(page.get_by_text("Marked in this study: 1 wrong")).to_be_visible()
    expect(page.get_by_role("button", name="Save table")).to_be_visible()
    tab.settle()
    tab.assert_clean()


def test_a_reply_is_judged_by_keyboard_and_a_long_note_is_read_whole(visit: Open, full_app: str) -> None:
    tab = visit(full_app)
    page = tab.go("compare?view=why&candidate=base")
    looked, long = page.locator(".looked-at"), "It names the room, which nobody asked for. " * 6
    looked.get_by_role("button", name="Interesting").press("Enter")
    tab.settle()  # the whole is drawn anew
    expect(looked.get_by_role("button", name="✓ Interesting")).to_be_focused()
    note = looked.get_by_role("textbox", name=re.compile("^Note on the reply"))
    note.press_sequentially("Why?")
    looked.get_by_role("button", name="Right").click()  # a click keeps both
    tab.settle()
    page.reload()
    expect(looked.get_by_role("button", name="✓ Right")).to_be_visible()
    expect(note).to_have_value("Why?")
    note.fill(long)
    note.press("Enter")
    tab.settle()
    expect(note).to_be_focused()
    page.reload()
    expect(note).to_have_value(long.strip())
    assert note.evaluate("one => one.scrollHeight <= one.clientHeight + 1")
    tab.settle()
    tab.assert_clean()


def test_a_bad_study_shows_its_faults_and_changes_nothing(
    visit: Open, browser: object, tmp_path: Path
) -> None:
    bad = tmp_path / "hybrid_summary.json"
    bad.write_text('{"p1": {"embedding_similarity": NaN}, "p2": {"embedding_similarity": 7}}')
    with served(tmp_path / "fresh") as address:
        tab = visit(address)
        page = tab.go()
        page.get_by_text("Look at a published study").click()
        tab.upload(page.get_by_test_id("stFileUploader"), bad)
        page.get_by_role("button", name="Import the study").click()
        expect(page.get_by_text("hybrid_summary.json was not imported: 2 faults in 1 file")).to_be_visible()
        expect(page.get_by_test_id("stDataFrame")).to_be_visible()
        tab.assert_clean()
    assert not (tmp_path / "fresh").exists()
