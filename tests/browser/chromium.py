"""Finds the browser for the browser tests, or installs one: `python -m tests.browser.chromium --install`.

Looks for a Chromium or Chrome on PATH, then for Playwright's own. Installing tries Playwright's download,
then apt-get where that is possible. Without a browser the browser tests are skipped, with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu"]
_INSTALL_SECONDS = 600


def find() -> str | None:
    """Return the path of a browser that starts, None when there is none."""
    on_path = (shutil.which(name) for name in NAMES)
    return next((path for path in (*on_path, _playwrights_own()) if path and _starts(path)), None)


def install() -> str | None:
    """Return a browser, installing one when none is found; None when that is not possible."""
    found = find()
    if found is not None:
        return found
    print("No browser found; trying to install one for the browser tests.", flush=True)
    commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        commands += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    for command in commands:
        if _run(command, seconds=_INSTALL_SECONDS) and (found := find()):
            return found
    return None


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _starts(path: str) -> bool:
    """Say whether it runs here: a stub or a browser without its libraries does not."""
    return _run([path, "--version"], seconds=240)


def _run(command: list[str], *, seconds: float) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    browser = install() if "--install" in sys.argv else find()
    print(
        f"Browser for the tests: {browser}" if browser else "No browser: the browser tests will be skipped."
    )
