"""How quick the pages are: reruns of the running app, clicked in a browser, on 200 and on 2,000 personas.

    python -m engine bench ui                         both sizes, every page; the studies are made first
    python -m engine bench ui --personas 200 --pages "Compare: why,Persona"
    python -m engine bench ui --keep FOLDER           studies made there stay and are used again
    python -m engine bench ui --processor-only        without server and browser: processor time alone; with
                                                      one page (--pages), its first visit in a fresh process
    python -m engine bench ui --at-work               with a run at work: the dock is on every page
    python -m engine bench ui --personas 2000 --runs 2000     a workspace that has lived long: 200 variants

A study of 20 variants with 10 examples of each split and persona (bench/ui_study.py) lies under the app,
which runs as always, in a process of its own. Server time is taken inside it, around Streamlit's run of a
script; a page that draws itself anew at once (st.rerun) counts as one. Beside it stands the processor time of
the whole process meanwhile, which does not depend on what else the machine does. "Cold" is a page's first
visit in a fresh process, imports and first reads included; "warm" are reruns after every state that is
clicked through was seen once (Persona's Next and Data's next persona always show a new one). First paint is
the browser's, on that cold visit, and so is the time until the page's title stands there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import ui_study
from bench.reliability import p95
from bench.ui_app import App, running
from engine.core.paths import REPOSITORY, Workspace

TARGETS_MS = {200: 300.0, 2000: 1000.0}
_PATIENCE_MS = 180_000
_QUIET = "[data-testid='stApp'][data-test-script-state='notRunning']"
_UNVISITED = dict.fromkeys(("cold_ms", "cold_cpu_ms", "paint_ms", "title_ms"))
_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@dataclass(frozen=True, slots=True)
class Place:
    """A page in one of its states: its address, and what is clicked for a rerun (turn -> what to do)."""

    page: str
    part: str
    path: str
    click: Callable[[Any, int], None]

    @property
    def name(self) -> str:
        return f"{self.page}: {self.part}" if self.part else self.page


# --- what is clicked


def _again(page: Any, turn: int) -> None:
    """Streamlit's own key for a rerun."""
    page.locator("h1").first.click()
    page.keyboard.press("r")


def _radio(*names: str) -> Callable[[Any, int], None]:
    return lambda page, turn: page.get_by_role("radio", name=names[turn % len(names)], exact=True).click()


def _button(name: str) -> Callable[[Any, int], None]:
    """A click on a button; its name may go on with its key."""
    return lambda page, turn: page.get_by_role("button", name=re.compile(rf"^{name}\b")).click()


def _blind(page: Any, turn: int) -> None:
    page.get_by_text("Blind", exact=True).click()


def _next_persona(page: Any, turn: int) -> None:
    page.get_by_role("combobox", name="Persona").click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")


_SPLIT = _radio("Test", "Validation")
PLACES = (
    Place("Study", "", "", _again),
    Place("Experiments", "cards", "experiments", _again),
    Place("Experiments", "one", "experiments?experiment=hybrid", _again),
    Place("Runs", "", "runs", _again),
    Place("Compare", "who wins", "compare", _SPLIT),
    Place("Compare", "for whom", "compare?view=personas", _SPLIT),
    Place("Compare", "why", "compare?view=why", _SPLIT),
    Place("Compare", "all metrics", "compare?view=metrics", _SPLIT),
    Place("Compare", "everyone", "compare?view=heatmap", _SPLIT),
    Place("Compare", "cost", "compare?view=cost", _SPLIT),
    Place("Compare", "how sure", "compare?view=certainty", _SPLIT),
    Place("Compare", "a cluster", "compare?cluster=1", _SPLIT),
    Place("Persona", "next", "persona", _button("Next")),
    Place("Persona", "by gain", "persona?order=gain&variant=hybrid", _button("Next")),
    Place("Playground", "", "playground", _blind),
    Place("Votes", "", "votes", _again),
    Place("Data", "overview", "data", _again),
    Place("Data", "dialogues", "data?view=dialogues", _next_persona),
    Place("Data", "augmentation", "data?view=augmentation", _again),
    Place("Report", "", "report", _again),
    Place("Settings", "", "settings", _again),
)


# --- measuring


@contextmanager
def _run_at_work(ws: Workspace) -> Iterator[None]:
    """A run that only counts goes on meanwhile."""
    from engine.runs import jobs
    from engine.strategies import registry
    from tests.paced import PLACE
    from tests.sample_study import counting_run

    os.environ[registry.MORE] = PLACE
    jobs.submit(ws, counting_run(ws, "augmentation", ticks=10_000_000, pause=0.2))
    try:
        yield
    finally:
        for record in jobs.list_runs(ws):
            if not record.ended:
                jobs.cancel(ws, record.run_id, grace_seconds=0.0)
        del os.environ[registry.MORE]


def measure(ws: Workspace, places: Sequence[Place], *, turns: int, idle_seconds: float) -> dict[str, Any]:
    """Return what the table shows of one study."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import ARGUMENTS, find

    path = find()
    if path is None:
        raise SystemExit("No browser: put chromium on PATH, or run `python -m playwright install chromium`.")
    with tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        first = {one.page: one for one in reversed(places)}
        rows = {place.name: dict(_UNVISITED) for place in places}
        for place in first.values():
            rows[place.name] = _cold(browser, ws, place, Path(kept))
            _tell(f"{place.name}, cold", rows[place.name])
        with running(ws, Path(kept)) as app:
            bare = app.memory_mb()
            for place in places:
                rows[place.name] |= _warm(browser, app, place, turns)
                _tell(place.name, rows[place.name])
            memory = {"before_mb": bare, "after_mb": app.memory_mb(), "peak_mb": app.memory_mb("VmHWM")}
            idle = {name: _idle(browser, app, place, idle_seconds) for name, place in first.items()}
        browser.close()
    return {"rows": rows, "memory": memory, "idle_cpu_share": idle}


@contextmanager
def _tab(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    yield page
    context.close()


def _cold(browser: Any, ws: Workspace, place: Place, folder: Path) -> dict[str, Any]:
    """Visit a page first of all in a fresh process."""
    with running(ws, folder) as app, _tab(browser) as page:
        began = time.perf_counter()
        page.goto(f"{app.address}/{place.path}")
        page.locator("h1").first.wait_for()
        title = time.perf_counter() - began
        page.locator(_QUIET).wait_for()
        _settled(app, 1)
        found = app.reruns()
        return {
            "cold_ms": 1000 * sum(one.seconds for one in found),
            "cold_cpu_ms": 1000 * sum(one.cpu_seconds for one in found),
            "paint_ms": page.evaluate(_PAINT),
            "title_ms": 1000 * title,
        }


def _warm(browser: Any, app: App, place: Place, turns: int) -> dict[str, Any]:
    """Click through a page's states: twice to have seen them, then `turns` times by the clock."""
    with _tab(browser) as page:
        before = len(app.reruns())
        page.goto(f"{app.address}/{place.path}")
        page.locator("h1").first.wait_for()
        _settled(app, before + 1)
        page.locator(_QUIET).wait_for()
        found = []
        for turn in range(turns + 2):
            before = len(app.reruns())
            place.click(page, turn)
            _settled(app, before + 1)
            page.locator(_QUIET).wait_for()
            _settled(app, before + 1)
            mine = app.reruns()[before:]
            if turn >= 2:
                found.append((sum(one.seconds for one in mine), sum(one.cpu_seconds for one in mine)))
        exceptions = page.locator("[data-testid='stException']").count()
    if exceptions:
        raise SystemExit(f"{place.name} shows an exception.")
    walls, cpus = ([1000 * value for value in column] for column in zip(*found, strict=True))
    return {
        "warm_p50_ms": statistics.median(walls),
        "warm_p95_ms": p95(walls),
        "cpu_p50_ms": statistics.median(cpus),
        "cpu_p95_ms": p95(cpus),
        "turns": len(walls),
    }


def _settled(app: App, least: int) -> None:
    """Wait until at least so many runs have ended, and no other has for a moment."""
    until = time.monotonic() + _PATIENCE_MS / 1000
    while time.monotonic() < until:
        known = len(app.reruns())
        time.sleep(0.15)
        if known >= least and len(app.reruns()) == known:
            return
    raise SystemExit("A rerun did not come.")


def _idle(browser: Any, app: App, place: Place, seconds: float) -> float:
    """Return the share of one core that the app takes while a tab lies open and nobody does anything."""
    with _tab(browser) as page:
        page.goto(f"{app.address}/{place.path}")
        page.locator("h1").first.wait_for()
        page.locator(_QUIET).wait_for()
        time.sleep(3.0)
        began, cpu = time.monotonic(), app.cpu_seconds()
        time.sleep(seconds)
        return (app.cpu_seconds() - cpu) / (time.monotonic() - began)


def _tell(name: str, row: dict[str, Any]) -> None:
    told = ", ".join(f"{key} {value:.0f}" for key, value in row.items() if value is not None)
    print(f"  {name}: {told}", file=sys.stderr, flush=True)


def processor(ws: Workspace, places: Sequence[Place], *, turns: int) -> dict[str, dict[str, float]]:
    """Return the processor milliseconds of pages run in this process: the first time, then the median rerun.

    All share one process, as visits to one app do; a page's first run then holds what no earlier one read.
    What the server loads while it starts (pages/shared/ahead.py) is loaded before, and told apart.
    """
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    from pages.shared import ahead, aside

    began = time.process_time()
    ahead.load()
    _tell("loaded, as the server does while it starts", {"ms": 1000 * (time.process_time() - began)})

    os.environ["PERSONA_LAB_WORKSPACE"] = str(ws.root)
    rows = {}
    script = REPOSITORY / "pages" / "shared" / "script.py"
    for place in places:
        app = AppTest.from_file(str(script), default_timeout=_PATIENCE_MS / 100)
        path, _, query = place.path.partition("?")
        for name, value in parse_qsl(query):
            app.query_params[name] = value
        app._page_hash = calc_hash(path)  # switch_page works only once another page was run
        spent = []
        for _ in range(turns + 1):
            began = time.process_time()
            app.run()
            while aside.settled():  # the page then showed how far its statistics are
                app.run()
            spent.append(1000 * (time.process_time() - began))
        if app.exception:
            raise SystemExit(f"{place.name} shows an exception: {app.exception[0].value}")
        rows[place.name] = {"first_ms": spent[0], "again_ms": statistics.median(spent[1:])}
        _tell(place.name, rows[place.name])
    return rows


# --- telling


def processor_table(found: dict[int, dict[str, dict[str, float]]]) -> str:
    """Return processor times of all sizes side by side."""
    heads = " | ".join(f"{size:,}: first, ms | again" for size in found)
    lines = [f"| page | {heads} |", "|---|" + "---:|---:|" * len(found)]
    for name in next(iter(found.values())):
        told = [f"{one[name]['first_ms']:,.0f} | {one[name]['again_ms']:,.0f}" for one in found.values()]
        lines.append(f"| {name} | {' | '.join(told)} |")
    return "\n".join(lines)


def table(personas: int, variants: int, found: dict[str, Any]) -> str:
    """Return one study's part of docs/performance.md."""
    target = TARGETS_MS.get(personas)
    lines = [
        f"**{personas:,} personas x {variants} variants x {ui_study.EXAMPLES} test examples**"
        + (f"; warm at most {target:,.0f} ms" if target else ""),
        "",
        "| page | warm p50, ms | p95 | of target | processor p50 | p95 | cold | processor | paint | title |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in found["rows"].items():
        share = f"{row['warm_p95_ms'] / target:.2f}" if target else ""
        numbers = ("cpu_p50_ms", "cpu_p95_ms", "cold_ms", "cold_cpu_ms", "paint_ms", "title_ms")
        told = " | ".join(f"{row[key]:,.0f}" if row[key] is not None else "" for key in numbers)
        lines.append(f"| {name} | {row['warm_p50_ms']:,.0f} | {row['warm_p95_ms']:,.0f} | {share} | {told} |")
    memory, idle = found["memory"], found["idle_cpu_share"]
    worst = max(idle, key=lambda name: idle[name])
    lines += [
        "",
        f"Memory of the app: {memory['before_mb']:,.0f} MB before the first visit, {memory['after_mb']:,.0f} "
        f"MB after every page, {memory['peak_mb']:,.0f} MB at most. An idle open tab takes at most "
        f"{100 * idle[worst]:.1f} % of one core ({worst}); the median page "
        f"{100 * statistics.median(idle.values()):.1f} %.",
    ]
    return "\n".join(lines)


def _study(keep: Path, personas: int, runs: int) -> Workspace:
    root = keep / (f"ui-{personas}-{runs}" if runs else f"ui-{personas}")
    if not (root / ".complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        print(f"making a study of {personas:,} personas ...", file=sys.stderr, flush=True)
        if runs:
            ui_study.make_long(root, personas, runs)
        else:
            ui_study.make(root, personas)
        (root / ".complete").touch()
    return Workspace(root)


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--personas", default="200,2000", help="Sizes of the study, with commas between.")
    made.add_argument("--runs", type=int, default=0, help="Runs in all: those of pilots and failures, too.")
    made.add_argument("--pages", default="", help="Only these pages or states, with commas between.")
    made.add_argument("--turns", type=int, default=20, help="Reruns of each page by the clock.")
    made.add_argument("--idle-seconds", type=float, default=30.0)
    made.add_argument("--keep", type=Path, help="Folder where studies are made, and found the next time.")
    made.add_argument("--processor-only", action="store_true", help="Without server and browser.")
    made.add_argument("--at-work", action="store_true", help="With a run at work, so that the dock is there.")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    given = made.parse_args()
    asked = {name.strip() for name in given.pages.split(",") if name.strip()}
    known = {name for place in PLACES for name in (place.page, place.name)}
    if unknown := asked - known:
        raise SystemExit(f"No page {', '.join(unknown)}; there are {', '.join(sorted(known))}.")
    places = [place for place in PLACES if not asked or asked & {place.page, place.name}]
    keep = given.keep or Path(tempfile.mkdtemp(prefix="persona-lab-bench-"))
    try:
        found: dict[int, Any] = {}
        for size in (int(one) for one in given.personas.split(",")):
            ws = _study(keep, size, given.runs)
            with _run_at_work(ws) if given.at_work else nullcontext():
                if given.processor_only:
                    found[size] = processor(ws, places, turns=given.turns)
                else:
                    found[size] = measure(ws, places, turns=given.turns, idle_seconds=given.idle_seconds)
    finally:
        if given.keep is None:
            shutil.rmtree(keep, ignore_errors=True)
    if given.json:
        print(json.dumps(found, indent=2))
    elif given.processor_only:
        print(processor_table(found))
    else:
        variants = ui_study.VARIETY if given.runs else ui_study.VARIANTS
        print("\n\n".join(table(size, variants, one) for size, one in found.items()))


if __name__ == "__main__":
    main()
