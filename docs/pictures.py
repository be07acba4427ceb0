"""Take the pictures in README and docs anew, light and dark.

    .venv/bin/python docs/pictures.py WORKSPACE              all
    .venv/bin/python docs/pictures.py WORKSPACE --only base  those whose names begin so

The study in the README is that of docs/LOG.md, "fair budgets and three seeds, 200 personas". For the three
cards of bases and the form for a table of one's own, small ones are made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, sync_playwright

FOLDER = Path(__file__).resolve().parent / "pictures"
sys.path[0] = str(FOLDER.parents[1])

from tests.browser import bases, chromium  # noqa: E402
from tests.browser.conftest import Visit, served  # noqa: E402
from tests.sample_study import prepare_world  # noqa: E402
from tools.layouts import tickets  # noqa: E402

SIZE, TALL = {"width": 1360, "height": 900}, {"width": 1360, "height": 1500}
_DRAWING_MS = 4_000  # charts are drawn after the script has ended
Shown = Page | Locator


def _compare(tab: Visit) -> Shown:
    return tab.go("compare")


def _card(base: Path) -> Callable[[Visit], Shown]:
    return lambda tab: bases.card_of(tab.go("settings"), base)


def _mapping(tab: Visit) -> Shown:
    """A table nobody knows, looked at, with the one thing said that no column says: who answers."""
    page = tab.go("data?source=upload")
    name, content = "tickets.csv", tickets()["tickets.csv"]
    page.locator("input[type=file]").first.set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": content}
    )
    page.get_by_text(name).wait_for()
    page.get_by_role("button", name="Look at it first").click()
    form = page.locator(".st-key-data_look")
    form.get_by_role("combobox", name="Who answers").click()
    page.get_by_role("option", name="Agent Smith").click()
    form.get_by_role("button", name="Look again").click()
    form.get_by_text("Order in time by dates").wait_for()
    return form


@contextmanager
def _scenes(workspace: Path) -> Iterator[dict[str, tuple[Path, Callable[[Visit], Shown]]]]:
    """Each picture's name with the workspace it is taken of and the way to what is shown."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        study = prepare_world(place / "study", personas=5, dialogues=6).root
        cards = {
            f"base-{name}": (study, _card(base)) for name, base in bases.save_three(place / "bases").items()
        }
        yield {"compare": (workspace, _compare), **cards, "mapping": (place / "new", _mapping)}


def _take(browser: Any, name: str, root: Path, shown: Callable[[Visit], Shown]) -> None:
    with served(root) as address:
        page = browser.new_context(viewport=SIZE).new_page()
        page.set_default_timeout(240_000)
        found = shown(Visit(page, address))
        if found is not page:
            page.get_by_test_id("stHeader").evaluate(
                "it => it.style.display = 'none'"
            )  # it lies over the part
            page.set_viewport_size(TALL)  # type: ignore[arg-type]  # what is higher than that is cut
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(_DRAWING_MS)
            found.screenshot(path=FOLDER / f"{name}-{scheme}.png")
            print(FOLDER / f"{name}-{scheme}.png", flush=True)
        page.close()


def main(workspace: Path, only: str) -> None:
    """Write each picture in each scheme."""
    FOLDER.mkdir(exist_ok=True)
    found = chromium.find()  # before Playwright's loop runs
    with _scenes(workspace.resolve()) as scenes, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=chromium.ARGUMENTS)
        for name, (root, shown) in scenes.items():
            if name.startswith(only):
                _take(browser, name, root, shown)
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--only", default="", help="The beginning of the names to take.")
    asked = parser.parse_args()
    main(asked.workspace, asked.only)
