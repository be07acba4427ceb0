"""Three tiny bases that a look tells apart, and the look at one on Settings: for a test and for pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.lm.test_turns import GEMMA
from tests.tiny_base import save_tiny_base

CARD = ".st-key-base_card"


def save_three(folder: Path) -> dict[str, Path]:
    """Write a good base, one without a system role, and one whose tokenizer does not fit its weights."""
    from transformers import AutoTokenizer

    good = save_tiny_base(folder / "good")
    alternating = Path(shutil.copytree(good, folder / "gemma-like"))
    (alternating / "chat_template.jinja").write_text(GEMMA)
    refused = Path(shutil.copytree(good, folder / "longer-tokenizer"))
    tokenizer = AutoTokenizer.from_pretrained(refused)
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(refused)
    return {one.name: one for one in (good, alternating, refused)}


def name_base(page: Page, base: Path) -> None:
    """Open the choice of another base on Settings, where it is not open, and name this one."""
    field = page.get_by_role("textbox", name="Folder or hub id")
    if not field.is_visible():
        page.get_by_text("Look at it, or use another one").click()
    page.get_by_text("another one: a folder or a hub id").click()
    field.fill(str(base))
    field.press("Enter")


def card_of(page: Page, base: Path) -> Locator:
    """Look at a base and return its card."""
    name_base(page, base)
    page.get_by_role("button", name="Look at it", exact=True).click()
    card = page.locator(CARD).filter(has_text=base.name)
    card.wait_for()
    return card
