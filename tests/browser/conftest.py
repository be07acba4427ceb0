"""A real app in a real browser: servers over workspaces, and pages that note every error."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from engine.core.paths import REPOSITORY, Workspace
from tests.browser.chromium import ARGUMENTS, find
from tests.ports import free_port
from tests.sample_study import finish, prepare_world

PATIENCE_MS = 180_000
_AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
# Rule, mark and reason of what Streamlit's own widgets draw and no setting or style changes.
FOREIGN: tuple[tuple[str, str, str], ...] = (
    (
        "scrollable-region-focusable",
        "<table",
        "Streamlit's Markdown marks no table as focusable; browsers themselves reach by Tab what scrolls",
    ),
    ("svg-img-alt", '"></g>', "Vega calls a picture also what draws nothing: a layer without rows"),
    ("svg-img-alt", "brushed_brush", "Vega draws the area of a brush, empty as yet, without a name"),
    ("aria-dialog-name", "stToast", "Streamlit names a toast by a title it does not draw"),
)
_START_SECONDS = 180.0
_waits = itertools.count(1)
_PROTOCOL = (
    ForwardMsg.NEW_SESSION_FIELD_NUMBER,
    ForwardMsg.SCRIPT_FINISHED_FIELD_NUMBER,
    BackMsg.RERUN_SCRIPT_FIELD_NUMBER,
    ClientState.IS_AUTO_RERUN_FIELD_NUMBER,
)
_SETTLED = (Path(__file__).parent / "settled.js").read_text(encoding="utf-8")
# How many times slower the browser's own work is made: to see what comes late on a busy machine.
_SLOWER = float(os.environ.get("BROWSER_SLOWER", "1"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find()
    if path is None:
        pytest.skip("no browser: put chromium on PATH, or run `python -m playwright install chromium`")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@dataclass
class Visit:
    """One open tab and what went wrong in it."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def go(self, path: str = "") -> Page:
        """Open a path of the app and wait until its page is drawn."""
        self.page.goto(f"{self.address}/{path}")
        self.page.locator("h1").first.wait_for()
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until the script has answered the last click to its end, and all that it drew is there."""
        self.page.wait_for_function("who => settled(who)", arg=next(_waits))

    def upload(self, into: Locator, path: Path) -> None:
        """Choose a file, and wait until the server has it: its name stands there before."""
        into.locator("input[type='file']").set_input_files(path)
        expect(into.get_by_role("button", name=f"Remove {path.name}")).to_be_visible()
        self.settle()

    def shifted(self) -> tuple[float, list[str]]:
        """How much of the page has moved by nobody's doing since it was opened (CLS of web vitals)."""
        shifts = self.page.evaluate("shifts")
        return sum(value for value, _ in shifts), [part for _, parts in shifts for part in parts]

    def barriers(self) -> list[str]:
        """What axe finds serious or critical on the page, but for FOREIGN."""
        self.page.evaluate(_AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        return [
            f"{self.page.url} {one['id']}: {node['html'][:200]} {[part['message'] for part in node['any']]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
            if not any(one["id"] == rule and mark in node["html"] for rule, mark, _ in FOREIGN)
        ]

    def assert_clean(self) -> None:
        """No error in the console, none on the page, and no other server was asked for anything."""
        assert not self.errors, self.errors
        assert not self.strangers, self.strangers
        assert self.page.locator("[data-testid='stException']").count() == 0
        assert "Traceback" not in self.page.locator("body").inner_text()


Open = Callable[..., Visit]


@pytest.fixture(autouse=True)
def _patience() -> None:
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Return a function that opens a tab of the app at an address."""
    contexts = []

    def opened(address: str, *, scheme: str = "light", width: int = 1280) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(_SETTLED.replace("NUMBERS", ", ".join(map(str, _PROTOCOL))))
        if _SLOWER > 1:
            context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
        found = Visit(page, address)
        page.on("console", lambda message: _note(found, message))
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("request", lambda request: _note_stranger(found, request))
        return found

    yield opened
    for context in contexts:
        context.close()


def _note(visit: Visit, message: ConsoleMessage) -> None:
    """Keep errors; Streamlit looks for its own files below a page's path first, which is not there."""
    expected = "404" in message.text and "/_stcore/" in str(message.location.get("url", ""))
    if message.type == "error" and not expected:
        visit.errors.append(f"{message.text} {message.location}")


def _note_stranger(visit: Visit, request: Request) -> None:
    parts = urlsplit(request.url)
    if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "localhost":
        visit.strangers.append(request.url)


@contextmanager
def served(root: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """Run the app over a workspace, with more of Streamlit's options; give its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), *options]
    environment = {**os.environ, "PERSONA_LAB_WORKSPACE": str(root), "OMP_NUM_THREADS": "1"}
    log = root.parent / f"{root.name}-app.log"
    with log.open("wb") as output:
        app = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            _wait_until_healthy(app, port, log)
            yield f"http://localhost:{port}"
        finally:
            end(app)
    assert "Traceback" not in log.read_text(errors="replace")


def end(app: subprocess.Popen[bytes]) -> None:
    """End a server, and see that it is gone."""
    app.terminate()
    try:
        app.wait(timeout=_START_SECONDS)
    finally:
        app.kill()


def _wait_until_healthy(app: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if app.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"The app did not start:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with every first step done."""
    ws = prepare_world(tmp_path_factory.mktemp("browser") / "full", personas=12, dialogues=8)
    finish(ws, "unified", "retrieval", "profile-prompt", "ceiling", per_persona=4)
    return ws


@pytest.fixture(scope="session")
def full_app(browser: Browser, full: Workspace) -> Iterator[str]:
    with served(full.root) as address:
        yield address


@pytest.fixture(scope="session")
def empty_app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a folder that is no workspace yet; tests of it only look."""
    with served(tmp_path_factory.mktemp("browser") / "empty") as address:
        yield address
