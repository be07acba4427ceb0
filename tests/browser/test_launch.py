"""Launching, watching and repeating runs in a real browser: real clicks, real processes, real reloads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from engine.core.machine import change_machine
from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import scan
from engine.strategies import registry
from tests.browser.conftest import Open, served
from tests.sample_study import counting_run, end_badly, finish, prepare_world

pytestmark = pytest.mark.browser


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with data; no run of it outlives the test."""
    ws = prepare_world(tmp_path / "launch", personas=5, dialogues=6)
    yield ws
    for record in scan(ws):
        if record.state in ("queued", "running"):
            jobs.cancel(ws, record.run_id, grace_seconds=0.0)


def _type(page: Page, label: str, text: str) -> None:
    """Type into a field of the form and leave it, as a reader does."""
    field = page.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Tab")


def _share(page: Page) -> int:
    told = page.get_by_text(re.compile(r"^\d+\s%, count, ")).first.inner_text()
    return int(told.partition("%")[0])


def test_a_card_opens_a_form_that_launches_once_however_often_it_is_clicked(
    visit: Open, browser: object, ws: Workspace
) -> None:
    finish(ws, "unified", per_persona=2)
    change_machine(ws, training_slots=0)  # the queue is paused: nothing heavy is started
    with served(ws.root) as address:
        tab = visit(address)
        page = tab.go("experiments")
        page.get_by_text("Do weights of her own help, and how many?").click()
        page.get_by_role("button", name="Per-persona LoRA", exact=True).click()
        expect(page).to_have_url(re.compile("experiment=per-persona"))
        _type(page, "Rank", "4")
        expect(page.get_by_text("--set rank=4")).to_be_visible()
        expect(page).to_have_url(re.compile("rank=4"))
        page.get_by_role("button", name="Run Per-persona LoRA").dblclick()
        expect(page.get_by_role("heading", name="Runs")).to_be_visible()
        expect(page.get_by_text("3 queued, 2 done")).to_be_visible()  # with its two controls
        tab.settle()
        tab.assert_clean()
    queued = [record for record in scan(ws) if record.experiment == "per-persona"]
    assert [record.spec.parameters["rank"] for record in queued if record.spec] == [4]


def test_a_run_is_watched_over_a_reload_cancelled_and_resumed(
    visit: Open, browser: object, ws: Workspace, paced: None
) -> None:
    (entry,) = jobs.submit(ws, counting_run(ws, "per-persona", ticks=100_000, pause=0.05))
    with served(ws.root) as address:
        tab = visit(address)
        page = tab.go(f"runs?run={entry.record.run_id}")
        told = page.get_by_text(re.compile(r"count, [\d,]+ of 100,000 ticks")).first
        first = told.inner_text()
        expect(told).not_to_have_text(first)
        before = _share(page)
        page.reload()
        expect(told).to_be_visible()
        after_reload = told.inner_text()
        expect(told).not_to_have_text(after_reload)
        assert _share(page) >= before
        cancel = page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Cancel")
        cancel.click()
        expect(page.get_by_text("It goes on from its last checkpoint.")).to_be_visible()
        kept = scan(ws)[-1].progress
        assert kept > 0
        page.get_by_role("button", name="Resume").click()
        expect(
            page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Cancel")
        ).to_be_visible()
        expect(told).to_be_visible()
        assert scan(ws)[-1].progress >= kept
        tab.assert_clean()


def test_a_form_with_faults_loses_nothing(visit: Open, full_app: str) -> None:
    tab = visit(full_app)
    page = tab.go("experiments?experiment=per-persona")
    _type(page, "Epochs", "7")
    _type(page, "Rank", "0")
    _type(page, "Learning rate", "fast")
    expect(page.get_by_text("Rank must be 1 or more, not 0")).to_be_visible()
    expect(page.get_by_text("Learning rate must be a number, not fast")).to_be_visible()
    expect(page.get_by_role("button", name="Run Per-persona LoRA")).to_have_count(0)
    tab.settle()
    page.reload()  # the address holds the faulty values, too
    expect(page.get_by_text("Learning rate must be a number, not fast")).to_be_visible()
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("7")
    _type(page, "Rank", "4")
    _type(page, "Learning rate", "0.002")
    expect(page.get_by_role("button", name="Run Per-persona LoRA")).to_be_visible()
    expect(page.get_by_text("--set learning_rate=0.002")).to_be_visible()
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("7")
    tab.settle()
    tab.assert_clean()


def test_a_clone_opens_the_form_filled_as_the_run_was(visit: Open, browser: object, ws: Workspace) -> None:
    finish(ws, "unified", per_persona=2)
    run_id = end_badly(ws, "hybrid", state="failed", error="No memory left.")
    with served(ws.root) as address:
        tab = visit(address)
        page = tab.go(f"runs?run={run_id}")
        page.get_by_role("link", name="Clone and modify").click()
        expect(page.get_by_role("heading", name=registry.get("hybrid").title)).to_be_visible()
        expect(page.get_by_text(re.compile("This run|Resume")).filter(visible=True)).to_be_visible()
        _type(page, "Alpha", "32")
        expect(page.get_by_text("--set alpha=32")).to_be_visible()
        tab.settle()
        shared = page.url
        other = visit(address)
        other.page.goto(shared)
        expect(other.page.get_by_label("Alpha", exact=True)).to_have_value("32")
        other.settle()
        page.go_back()
        tab.assert_clean()
        other.assert_clean()


def test_curves_of_several_runs_share_an_address(visit: Open, full_app: str, full: Workspace) -> None:
    ids = [record.run_id for record in scan(full) if record.experiment in ("unified", "base")]
    tab = visit(full_app)
    page = tab.go(f"runs?run={','.join(ids)}")
    expect(page.get_by_role("heading", name="2 runs side by side")).to_be_visible()
    expect(page.locator("[data-testid='stVegaLiteChart']").first).to_be_visible()
    tab.settle()
    tab.assert_clean()
