"""A study whose every name and text is hostile, in a real browser: no markup, no link, no stranger asked."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import Open, served
from tests.hostile_study import NAME, hostile_id, write_hostile

pytestmark = pytest.mark.browser
PAGES = {
    "": {},
    "?": {"tree": "mine"},
    "experiments": {},
    "runs": {},
    "compare": {"candidate": f"unified+{NAME}"},
    "compare?": {"view": "personas", "candidate": f"worse+{NAME}"},
    "persona": {"persona": hostile_id(1), "variant": f"unified+{NAME}"},
    "playground": {"persona": hostile_id(1)},
    "data": {"view": "dialogues", "persona": hostile_id(1)},
    "data?": {"view": "study"},
    "settings": {},
}
# What each kind of markup would have become.
MADE_OF_TEXT = (
    "img[src*='evil']", "a[href*='evil']", "a[href^='javascript']", "a[href^='mailto']", "a[href='x:y']",
    ".katex", "strong:text-is('EVIL')", "em:text-is('EVIL')", "del:text-is('EVIL')", "code:text-is('EVIL')",
    "i:text-is('EVIL')", "h1:text-is('EVIL')", "li:text-is('EVIL')", "span[style*='color']:text-is('EVIL')",
    "[class*='badge']:text-is('EVIL')", "span[role='img'][aria-label='EVIL icon']", "img[onerror]",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile_app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        ws = write_hostile(folder, patch)
    with served(ws.root) as address:
        yield address


def test_no_text_becomes_markup_and_no_other_server_is_asked(visit: Open, hostile_app: str) -> None:
    seen = 0
    opened = visit(hostile_app)
    for name, query in PAGES.items():
        page = opened.go(f"{name.rstrip('?')}?{urlencode(query)}" if query else name.rstrip("?"))
        for made in MADE_OF_TEXT:
            assert page.locator(made).count() == 0, f"{name} {query}: {made}"
        text = (
            page.locator("[data-testid='stApp']").inner_text().replace(" \\\n  --", " --")
        )  # as a shell does
        assert "\\" not in text, f"{name}: {text[max(0, text.index(chr(92)) - 80) :][:160]}"
        seen += "EVIL" in text
    opened.assert_clean()
    assert seen >= 7


def test_what_a_page_would_fetch_elsewhere_is_not_fetched(visit: Open, hostile_app: str) -> None:
    """Even an image that some text had smuggled in is not asked for: the server's headers forbid it."""
    opened = visit(hostile_app)
    page = opened.go("settings")
    asked: list[str] = []
    page.on("requestfinished", lambda request: asked.append(request.url))
    refused = page.evaluate(
        """() => new Promise(done => {
            document.addEventListener('securitypolicyviolation', event => done(event.blockedURI));
            const image = new Image();
            image.src = 'http://evil.example/i.png';
            document.body.append(image);
        })"""
    )
    assert refused.startswith("http://evil.example")
    assert not [url for url in asked if "evil" in url]
    assert page.evaluate("() => { try { return top.location.host } catch (error) { return '' } }")
