"""The page Settings in a browser: another base is looked at and used."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.bases import card_of, name_base, save_three
from tests.browser.conftest import Open, served
from tests.sample_study import prepare_world
from tests.workspaces import eventually

pytestmark = pytest.mark.browser


def test_a_base_is_looked_at_and_used(visit: Open, tmp_path: Path) -> None:
    bases = save_three(tmp_path / "bases")
    ws = prepare_world(tmp_path / "study", personas=5, dialogues=6)
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
        eventually(lambda: ws.read_config()["base"] == str(bases["good"]))
        tab.settle()
        assert not tab.barriers()
        tab.assert_clean()
