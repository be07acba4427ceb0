"""The Persona page in a real browser: map, replies, keys and address; and the button of the report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from engine.core.paths import Workspace
from tests.browser.conftest import Open, served
from tests.persona_study import make_study, with_memories

pytestmark = pytest.mark.browser
_WRITING_MS = 400_000  # a cold process that draws eight figures, on a busy machine
MARKUP = "Warm <b>it</b> up **now** $x$"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study with clusters, routes, a merge, and a memory whose text looks like markup."""
    ws = make_study(tmp_path_factory.mktemp("persona-browser") / "study", personas=5, dialogues=6)
    with_memories(ws, "persona_002", MARKUP, "Done.")
    return ws


@pytest.fixture(scope="module")
def app(browser: Browser, study: Workspace) -> Iterator[str]:
    with served(study.root) as address:
        yield address


def test_an_example_is_opened_by_click_and_by_key_and_its_address_is_shared(visit: Open, app: str) -> None:
    tab = visit(app)
    page = tab.go("persona?persona=persona_002")
    listed = page.get_by_role("list", name="Examples").get_by_role("button")
    expect(listed).to_have_count(4)
    listed.nth(1).click()
    place = listed.nth(1).locator(".place").inner_text().removeprefix("2. ")
    expect(page.get_by_role("region", name=place)).to_be_visible()
    expect(page).to_have_url(re.compile("example=persona_002"))
    page.keyboard.press("ArrowDown")
    expect(listed.nth(2)).to_have_attribute("aria-current", "true")
    expect(listed.nth(2)).to_be_focused()
    third = listed.nth(2).get_attribute("data-example") or ""
    expect(page).to_have_url(re.compile(f"example={re.escape(quote(third, safe=''))}(&|$)"))
    shared = page.url
    again = visit(app).go(shared.removeprefix(f"{app}/"))
    expect(again.get_by_role("list", name="Examples").get_by_role("button").nth(2)).to_have_attribute(
        "aria-current", "true"
    )
    tab.assert_clean()


def test_texts_of_users_are_shown_as_they_are(visit: Open, app: str) -> None:
    tab = visit(app)
    page = tab.go("persona?persona=persona_002")
    page.get_by_text(re.compile("What was retrieved: 1 earlier interaction")).click()
    expect(page.get_by_text(MARKUP)).to_be_visible()
    expect(
        page.get_by_text("shown to unified+retrieval-1, unified+retrieval-3, unified+retrieval-5")
    ).to_be_visible()
    tab.assert_clean()


def test_every_reply_names_its_variants_and_marks_what_is_right(visit: Open, app: str) -> None:
    page = visit(app).go("persona?persona=persona_001&variant=base")
    panes = page.get_by_role("region").last
    for name in ("base", "unified", "ceiling-persona", "routing", "merge-moe"):
        expect(panes.locator(".names span", has_text=re.compile(f"^{name}( |$)")).first).to_be_visible()
    expect(panes.locator(".card.looked-at")).to_have_count(1)
    expect(panes.get_by_text("✓ right", exact=True)).to_be_visible()


def test_the_keys_walk_from_persona_to_persona(visit: Open, app: str) -> None:
    tab = visit(app)
    page = tab.go("persona?persona=persona_001")
    expect(page.get_by_role("button", name="Next")).to_be_visible()  # only then the key is heard
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="persona_002")).to_be_visible()
    tab.settle()
    page.keyboard.press("k")
    expect(page.get_by_role("heading", name="persona_001")).to_be_visible()
    expect(page).to_have_url(re.compile("persona=persona_001"))
    tab.settle()
    tab.assert_clean()


def test_a_click_on_the_map_opens_another_persona(visit: Open, app: str) -> None:
    tab = visit(app)
    page = tab.go("persona?persona=persona_001")
    spots = page.locator("[data-testid='stVegaLiteChart'] path[aria-label*='persona_004']")
    spots.last.click(force=True)
    expect(page.get_by_role("heading", name="persona_004")).to_be_visible()
    tab.settle()
    tab.assert_clean()


def test_the_cluster_map_of_the_data_opens_a_persona_and_is_there_again(visit: Open, app: str) -> None:
    tab = visit(app)
    page = tab.go("data?view=clusters&cluster=1")
    expect(page.get_by_role("combobox", name="Cluster")).to_have_value("1, 2 personas")
    page.locator("[data-testid='stVegaLiteChart'] path[aria-label*='persona_003']").last.click(force=True)
    expect(page.get_by_role("heading", name="persona_003")).to_be_visible()
    tab.settle()
    page.go_back()
    expect(page.get_by_text("Grouped by behaviour")).to_be_visible()
    expect(page).to_have_url(re.compile("view=clusters"))
    tab.settle()
    tab.assert_clean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_over_on_a_telephone(visit: Open, app: str, scheme: str) -> None:
    tab = visit(app, scheme=scheme, width=390)
    for path in ("persona", "report", "settings"):
        page = tab.go(path)
        main = page.locator("[data-testid='stMain']")
        assert not main.evaluate("main => main.scrollWidth > main.clientWidth + 1"), path
        tab.assert_clean()


def test_the_report_is_written_in_the_background_and_previewed(visit: Open, app: str) -> None:
    tab = visit(app)
    page = tab.go("report")
    page.get_by_role("button", name="Write the report").click()
    expect(page.get_by_text(re.compile("Writing the report"))).to_be_visible()
    page.reload()
    expect(page.get_by_text("Up to date").first).to_be_visible(timeout=_WRITING_MS)
    title = page.frame_locator("iframe").get_by_role("heading", name="Which way of personalising wins")
    expect(title).to_be_visible()
    with page.expect_download() as kept:
        page.get_by_role("button", name="HTML").click()
    assert kept.value.suggested_filename == "report.html"
