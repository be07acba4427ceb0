"""The page Settings in a browser: another base is looked at and used, and what could go is taken away."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.bases import card_of, name_base, save_three
from tests.browser.conftest import PATIENCE_MS, Visit, served
from tests.sample_study import prepare_world

pytestmark = pytest.mark.browser

Open = Callable[..., Visit]


@pytest.fixture(autouse=True)
def _patience() -> None:
    expect.set_options(timeout=PATIENCE_MS)


def test_a_base_is_looked_at_and_used_and_leftovers_go_when_asked(visit: Open, tmp_path: Path) -> None:
    bases = save_three(tmp_path / "bases")
    ws = prepare_world(tmp_path / "study", personas=5, dialogues=6)
    left = ws.models / "unified-0123abcd" / "adapter_model.safetensors"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(5_200_000))
    before = ws.read_config()["base"]
    with served(ws.root) as address:
        tab = visit(address)
        page = tab.go("settings")
        refused = card_of(page, bases["longer-tokenizer"])
        expect(refused).to_contain_text("cannot be the base")
        expect(refused).to_contain_text("<more>")
        page.get_by_role("button", name="Use it from now on").click()
        expect(page.get_by_text("longer-tokenizer cannot be the base.").first).to_be_visible()
        assert ws.read_config()["base"] == before
        mended = card_of(page, bases["gemma-like"])
        expect(mended).to_contain_text("its text opens the first user turn")
        name_base(page, bases["good"])
        page.get_by_role("button", name="Use it from now on").click()
        expect(page.get_by_text(re.compile("The base is .*good from now on"))).to_be_visible()
        assert ws.read_config()["base"] == str(bases["good"])
        page.get_by_role("button", name="Look for leftovers").click()
        page.get_by_role("combobox", name="Take away").click()
        page.get_by_role("option", name="Adapters").click()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Take away 1 file or folder, 5.2 MB").click()
        assert left.exists()
        page.get_by_role("dialog").get_by_role("button", name="Take away").click()
        expect(page.get_by_text("1 file or folder gone, 5.2 MB.")).to_be_visible()
        assert not left.exists()
        assert not tab.barriers()
        tab.assert_clean()
