"""From an empty folder to a first true verdict: the clicks, and the seconds from the first of them.

Two buttons in Chromium, real runs of the shipped base: prepare a world of 20 personas, get a first verdict.
Then it waits for the sentence of Study, without a click or a reload. Tells the machine's load, which decides.

    python bench/first_visit.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.core.paths import Workspace
from engine.core.wording import count
from engine.runs import jobs
from engine.runs.records import scan

_PATIENCE_MS = 900_000


def measure(root: Path) -> tuple[int, dict[str, float]]:
    """Return the clicks, and what -> the seconds from the first click to it."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import ARGUMENTS, find
    from tests.browser.conftest import served

    told: dict[str, float] = {}
    path = find()  # before Playwright is at work: it may ask it, too
    with served(root) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(address)
        first = page.get_by_role("button", name="Prepare 20 personas")
        first.wait_for()
        began = time.monotonic()
        first.click()
        second = page.get_by_role("button", name="Get a first verdict")
        second.wait_for()
        told["the world is there, and what to press"] = time.monotonic() - began
        second.click()
        page.get_by_role("progressbar").first.wait_for()
        told["progress shows"] = time.monotonic() - began
        page.get_by_text("Leader on validation").wait_for()
        told["a first verdict"] = time.monotonic() - began
        print(page.get_by_text("Leader on validation").inner_text())
        browser.close()
    return 2, told


def main() -> None:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(Path(folder) / "fresh")
        try:
            clicks, told = measure(ws.root)
        finally:
            for record in scan(ws):
                if not record.ended:
                    jobs.cancel(ws, record.run_id, grace_seconds=0.0)
    loads = f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(f"\n{count(clicks, 'click')}; {os.cpu_count()} cores, {loads}")
    for what, seconds in told.items():
        print(f"{seconds:6.1f} s  {what}")


if __name__ == "__main__":
    main()
