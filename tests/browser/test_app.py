"""The app as its user meets it. What AppTest cannot see: polling, clicks on charts, themes, the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from engine.core.paths import REPOSITORY
from engine.runs import jobs
from engine.strategies import registry
from tests.browser.conftest import Open, Visit, served
from tests.paced import PLACE as PACED
from tests.runs.launching import at_work
from tests.sample_study import counting_run, end_badly, finish, prepare_world

pytestmark = pytest.mark.browser

PATHS = (
    "", "experiments", "runs", "compare", "persona", "playground", "votes", "data", "statistics", "report",
    "settings", "words",
)  # fmt: skip
VIEWS = (
    "?tree=cluster-rescue", "experiments?experiment=frontier", "experiments?study=constrained-lambda",
    "compare?view=personas", "compare?view=heatmap", "compare?view=cost", "compare?view=certainty",
    "data?view=dialogues", "data?view=clusters", "data?view=augmentation", "data?view=import",
    "data?view=study", "playground?blind=1",
)  # fmt: skip
# What is clicked within a page that shows one thing of many: a table's second row, a choice, a button.
ROWS = ("runs", "data?view=dialogues")
WITHIN = {
    **dict.fromkeys(("", "experiments", "data"), "button[role='radio']:not([aria-checked='true'])"),
    **dict.fromkeys(ROWS, "[data-testid='stDataFrame']"),
    "persona": ".st-key-persona_next button",
}
# The page has been scrolled, to this place where one is named, and stays there for half a second.
AT_REST = """place => {
    const top = document.getElementById("stMain").scrollTop, now = performance.now();
    const there = top > 50 && (place === null || Math.abs(top - place) < 2);
    if (!there || window.rest?.top !== top) window.rest = {top, since: now};
    return there && now - window.rest.since > 500;
}"""
SHOWN = "[...document.querySelectorAll('#stMain :is(h1, h2, h3, strong)')].map(one => one.innerText).join()"


def test_the_first_visit_leads_to_data(visit: Open, browser: object, tmp_path: Path) -> None:
    with served(tmp_path / "fresh") as address:
        tab = visit(address)
        page = tab.go()
        page.get_by_role("button", name="Prepare 20 personas").click()
        expect(page.get_by_role("heading", name="Study")).to_be_visible()
        page.get_by_role("link", name="Data", exact=False).first.click()
        expect(page.get_by_role("heading", name="Checks")).to_be_visible()
        expect(page.get_by_text("No overlap")).to_be_visible()
        tab.assert_clean()


@pytest.fixture(scope="module")
def partial_app(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a study under way: one run is done, one failed, one is at work, one waits."""
    ws = prepare_world(tmp_path_factory.mktemp("browser") / "partial", personas=5, dialogues=6)
    finish(ws, "base", per_persona=2)
    end_badly(ws, "profile-prompt", state="failed", error="No memory left.", hint="Use smaller batches.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.MORE, PACED)
        first, _ = (
            jobs.submit(ws, counting_run(ws, name, ticks=100_000, pause=0.2))[-1].record.run_id
            for name in ("unified", "per-persona")
        )
        at_work(ws, first)  # a run that starts on a page that is looked at rightly leaves the queue there
        try:
            with served(ws.root) as address:
                yield address
        finally:
            for record in reversed(jobs.list_runs(ws)):
                if not record.ended:
                    jobs.cancel(ws, record.run_id, grace_seconds=0.0)


@pytest.mark.parametrize(
    ("which", "scheme", "width"),
    [("empty", "light", 1280), ("partial", "light", 390), ("full", "dark", 390)],
)
def test_no_page_errs_asks_another_server_or_runs_over(
    visit: Open, request: pytest.FixtureRequest, which: str, scheme: str, width: int
) -> None:
    """Every page and view, before, within and (in both themes) after a study; themes follow the system."""
    tab, barriers = visit(request.getfixturevalue(f"{which}_app"), scheme=scheme, width=width), list[str]()
    themes = ("dark", "light") if which == "full" else (scheme,)
    for path in (*PATHS, *(VIEWS if which == "full" else ())):
        page = tab.go(path)
        tab.assert_clean()
        main = page.locator("#stMain")
        assert not main.evaluate("main => main.scrollWidth > main.clientWidth + 1"), path
        moved, parts = tab.shifted()
        assert moved < (0.05 if width < 640 else 0.1), "\n".join((f"{path} moves by {moved:.2f}", *parts))
        for theme in themes:
            page.emulate_media(color_scheme=theme)
            expect(page.get_by_test_id("stApp")).to_have_css("background-color", _background(theme))
            tab.settle()
            barriers += tab.barriers()
    assert not barriers, "\n".join(barriers)


def test_a_telephones_runs_begin_with_what_counts(visit: Open, full_app: str) -> None:
    tab = visit(full_app, width=390)
    heads = tab.go("runs").locator("[data-testid='data-grid-canvas'] [role='columnheader']")
    expect(heads.get_by_text("Difference")).to_be_attached()
    told = [head for head in heads.all_text_contents() if head]
    assert told[:4] == ["Run", "State", "Score", "Difference"]


def test_an_open_menu_can_be_read_in_the_dark(visit: Open, full_app: str) -> None:
    tab = visit(full_app, scheme="dark")
    page = tab.go("runs")
    page.get_by_role("button", name="Save table").click()
    expect(page.get_by_role("button", name="LaTeX")).to_be_visible()
    tab.settle()
    assert not tab.barriers()


def test_one_press_of_back_leads_to_where_one_was_on_every_page(visit: Open, full_app: str) -> None:
    """From what one did on a page, and from another page: to the address, what was shown, and the place."""
    tab = visit(full_app)
    page, main = tab.page, tab.page.locator("#stMain")
    page.set_viewport_size({"width": 1280, "height": 320})  # so that every page is longer
    for path in (*PATHS, "data?view=dialogues"):
        tab.go(path)
        if path in WITHIN:
            here, shown = page.url, page.evaluate(SHOWN)
            main.locator(WITHIN[path]).first.click(position={"x": 15, "y": 87} if path in ROWS else None)
            page.wait_for_function("here => location.href !== here", arg=here)
            page.wait_for_function(f"shown => {SHOWN} !== shown", arg=shown)
            _expect_back(tab, here, shown)
        page.mouse.move(310, 200)  # beside tables, which would scroll themselves
        page.mouse.wheel(0, 100)
        _expect_rest(tab, None)
        away = "Data" if path == "settings" else "Settings"
        here, shown = page.url, page.evaluate(SHOWN)
        place = main.evaluate("main => main.scrollTop")
        page.get_by_test_id("stSidebar").get_by_role("link", name=away).click()
        expect(page.get_by_role("heading", name=away, level=1)).to_be_visible()
        _expect_back(tab, here, shown)
        _expect_rest(tab, place)


def _expect_rest(tab: Visit, place: float | None) -> None:
    tab.page.evaluate("window.rest = null")
    tab.page.wait_for_function(AT_REST, arg=place)


def _expect_back(tab: Visit, here: str, shown: str) -> None:
    tab.settle()
    tab.page.go_back()
    expect(tab.page).to_have_url(here)
    tab.page.wait_for_function(f"shown => {SHOWN} === shown", arg=shown)
    tab.settle()


def _background(scheme: str) -> str:
    """The theme's background, in the browser's notation."""
    config = (REPOSITORY / ".streamlit" / "config.toml").read_text()
    (colour,) = re.findall(rf'\[theme\.{scheme}\]\n(?:.*\n)*?backgroundColor = "#(\w+)"', config)
    return "rgb({}, {}, {})".format(*(int(colour[at : at + 2], 16) for at in (0, 2, 4)))


def test_a_run_moves_on_without_a_reload_and_can_be_ended(
    visit: Open, browser: object, tmp_path: Path, paced: None
) -> None:
    ws = prepare_world(tmp_path / "live", personas=5, dialogues=6)
    (entry,) = jobs.submit(ws, counting_run(ws, "unified", ticks=100_000, pause=0.05))
    try:
        with served(ws.root) as address:
            tab = visit(address)
            page = tab.go(f"runs?run={entry.record.run_id}")  # the first thing this server is asked for
            expect(page.get_by_role("link", name="Compare")).to_be_visible()
            told = page.get_by_text(re.compile(r"count, [\d,]+ of 100,000 ticks")).last
            first = told.inner_text()
            expect(told).not_to_have_text(first)
            page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Cancel").click()
            expect(page.get_by_text("It goes on from its last checkpoint.").first).to_be_visible()
            expect(page.get_by_role("button", name="Resume")).to_be_enabled()
            tab.assert_clean()
        assert jobs.list_runs(ws)[0].state == "cancelled"
    finally:
        if jobs.list_runs(ws)[0].state in ("queued", "running"):
            jobs.cancel(ws, entry.record.run_id, grace_seconds=5)
