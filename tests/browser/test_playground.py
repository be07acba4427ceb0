"""The playground in a real browser, with a real generator and a real (tiny, random, talkative) base."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from safetensors.torch import load_file, save_file

from engine.core.paths import Workspace, read_json
from engine.results import votes
from engine.runs.processes import end_group
from engine.serve import client
from engine.strategies.plan import plan
from tests.browser.conftest import Open, served
from tests.tiny_base import prepare_study, save_tiny_base
from tests.workspaces import leave

pytestmark = pytest.mark.browser
_LONG = 512  # tokens: long enough for a click in between on any machine


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A study with two variants that really answer: the base alone, and with the profile."""
    folder = tmp_path_factory.mktemp("talking")
    base = endless(save_tiny_base(folder / "base", hidden=192, layers=8))
    ws = prepare_study(folder / "study", base)
    for name in ("base", "profile-prompt"):
        leave(ws, plan(ws, name, {"examples_per_persona": 1, "max_new_tokens": 4}))
    yield ws
    end_group(client.alive(ws), grace_seconds=5.0)


@pytest.fixture(scope="module")
def app(browser: object, talking: Workspace) -> Iterator[str]:
    with served(talking.root) as address:
        yield address


def endless(base: Path) -> Path:
    """Take from a base the wish to end a reply, so that every reply is as long as it may be."""
    weights = load_file(base / "model.safetensors")
    weights["lm_head.weight"][read_json(base / "config.json")["eos_token_id"]] = 0.0
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    return base


def replies(page: Page) -> list[str]:
    return page.locator("[class*='st-key-reply_'] [data-testid='stMarkdown']").all_inner_texts()


def test_two_variants_stream_and_a_click_in_between_loses_nothing(visit: Open, app: str) -> None:
    tab = visit(app)
    page = tab.go(f"playground?persona=persona_001&length={_LONG}")
    expect(page.get_by_text("base", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Ask").click()
    expect(page).to_have_url(re.compile("question=[0-9a-f]{12}"))
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    expect(page.get_by_text("▌").first).to_be_visible()
    early = replies(page)
    page.get_by_text("Blind", exact=True).click()  # a rerun of the whole page, while they speak
    expect(page).to_have_url(re.compile("blind=1"))
    expect(stop).to_be_visible()
    address = page.url
    page.reload()  # a new session, while they speak
    expect(page.get_by_text(re.compile("tokens/s")).first).to_be_visible()
    expect(stop).to_have_count(0)
    expect(page.get_by_text("▌")).to_have_count(0)
    assert page.url.split("question=")[1][:12] == address.split("question=")[1][:12]
    late = replies(page)
    for before in (text.rstrip("▌ ") for text in early if text.endswith("▌")):
        assert any(text.startswith(before) for text in late), before
    expect(page.get_by_text("similarity").first).to_be_visible()
    page.get_by_role("button", name="Where it comes from").first.click()
    expect(page.get_by_text("The base model alone").first).to_be_visible()
    tab.assert_clean()


def test_a_conversation_goes_on_and_is_stopped(visit: Open, app: str) -> None:
    tab = visit(app, width=390, scheme="dark")
    page = tab.go(f"playground?persona=persona_002&length={_LONG}")
    said = page.get_by_role("textbox", name=re.compile("Say something"))
    said.fill("It is dark in here.")
    said.press("Enter")
    page.get_by_role("button", name="Stop").press("Enter")  # words that come move it away from a pointer
    expect(page.get_by_text("Stopped").first).to_be_visible()
    more = page.get_by_role("textbox", name=re.compile("Go on as persona_002"))
    more.fill("And the TV, please.")
    more.press("Enter")
    expect(page.get_by_text("And the TV, please.")).to_be_visible()
    page.get_by_role("button", name="Stop").press("Enter")
    expect(page.get_by_text("It is dark in here.")).to_be_visible()
    main = page.locator("#stMain")
    assert not main.evaluate("main => main.scrollWidth > main.clientWidth + 1")
    tab.assert_clean()


def test_a_blind_vote_is_stored(visit: Open, app: str, talking: Workspace) -> None:
    tab = visit(app)
    page = tab.go("playground?blind=1&length=32")
    page.get_by_role("button", name="Ask").click()
    left = page.get_by_role("button", name=re.compile("^Left is better"))
    tie = page.get_by_role("button", name=re.compile("^Tie"))
    expect(tie).to_be_visible()
    expect(page.get_by_text("tokens/s")).to_have_count(0)
    expect(page.get_by_text("Left", exact=True)).to_be_visible()
    (left if left.is_enabled() else tie).click()
    expect(page.get_by_text("Your vote")).to_be_visible()
    expect(page.get_by_text("tokens/s").first).to_be_visible()
    (vote,) = votes.read(talking)
    assert {vote.left.variant, vote.right.variant} == {"base", "profile-prompt"}
    assert vote.question_id in page.url
    page.get_by_role("link", name="Votes").click()
    expect(page.get_by_text("Few votes: 1").first).to_be_visible()
    page.get_by_role("button", name="Take the last one back").click()
    expect(page.get_by_text("No votes yet")).to_be_visible()
    assert votes.read(talking) == []
    tab.assert_clean()
