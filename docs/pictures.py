"""Take the README's pictures anew: pages of the app over a study, light and dark.

    .venv/bin/python docs/pictures.py WORKSPACE

The study in the README is that of docs/LOG.md, "Autopilot from empty to verdict".
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).resolve().parent / "pictures"
sys.path[0] = str(FOLDER.parents[1])

from tests.browser import chromium  # noqa: E402
from tests.browser.conftest import Visit, served  # noqa: E402

PAGES = {"compare": "compare"}
SIZE = {"width": 1360, "height": 900}
_DRAWING_MS = 4_000  # charts are drawn after the script has ended


def main(workspace: Path) -> None:
    """Write a picture of each page in each scheme."""
    FOLDER.mkdir(exist_ok=True)
    found = chromium.find()  # before Playwright's loop runs
    with served(workspace.resolve()) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=chromium.ARGUMENTS)
        for scheme in ("light", "dark"):
            for name, path in PAGES.items():
                page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()  # type: ignore[arg-type]
                page.set_default_timeout(120_000)
                Visit(page, address).go(path)
                page.wait_for_timeout(_DRAWING_MS)
                page.screenshot(path=FOLDER / f"{name}-{scheme}.png")
                print(FOLDER / f"{name}-{scheme}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
