"""What every page shares: the workspace, the heading, empty states and the one boundary for errors.

Pages hold no logic of their own worth testing without a browser; they read through `pages.shared.reads`, and
everything that can go wrong in a way the user can mend passes through `boundary`.
"""

import functools
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn, ParamSpec

import pandas as pd
import streamlit as st
from altair.utils import schemapi
from pandas.api.types import is_object_dtype, is_string_dtype
from pandas.io.formats.style import Styler

from engine.core import extensions, integrity, machine, roles
from engine.core.command import PROGRAM, command_line, in_workspace, on_lines
from engine.core.errors import DataError, EngineError, refusal
from engine.core.paths import TornFile, Workspace, open_workspace
from engine.core.plain import in_markdown as plain
from engine.core.plain import in_table
from engine.core.roles import Role
from engine.core.wording import STATE_WORDS, duration
from engine.domains.metric import Metric
from engine.results import store
from engine.show import glossary
from engine.show.charts.looks import CHOSEN, Chart, specification
from pages.shared import addresses, aside, downloads, drawing, numbers, sign_in, studies
from pages.shared.addresses import ALL as ALL
from pages.shared.addresses import choose as choose
from pages.shared.addresses import chosen as chosen
from pages.shared.addresses import linked_choice as linked_choice

_HERE = Path(__file__).resolve().parent
_PAGES_FOLDER = _HERE.parent


def _entry(page: str, script: str = "page") -> str:
    """Where Streamlit finds the script of a page: one folder a page."""
    return str(_PAGES_FOLDER / page / f"{script}.py")


HOME, EXPERIMENTS, RUNS, COMPARE = (_entry(page) for page in ("study", "experiments", "runs", "compare"))
PERSONA, PLAYGROUND, DATA, REPORT = (_entry(page) for page in ("persona", "playground", "data", "report"))
SETTINGS, STATISTICS = _entry("settings"), _entry("statistics")
VOTES, WORDS = _entry("playground", "votes"), _entry("words")

# Script, address and title of each page; the menu's come first, with their icons.
_MENU = (
    (HOME, "", "Study", ":material/home:"),
    (EXPERIMENTS, "experiments", "Experiments", ":material/science:"),
    (RUNS, "runs", "Runs", ":material/timeline:"),
    (COMPARE, "compare", "Compare", ":material/leaderboard:"),
    (PERSONA, "persona", "Persona", ":material/person:"),
    (PLAYGROUND, "playground", "Playground", ":material/chat:"),
    (VOTES, "votes", "Votes", ":material/how_to_vote:"),
    (DATA, "data", "Data", ":material/forum:"),
    (REPORT, "report", "Report", ":material/description:"),
    (SETTINGS, "settings", "Settings", ":material/settings:"),
)
_BY_LINK = ((STATISTICS, "statistics", "Statistics, checked"), (WORDS, "words", "Keys and words"))

BY_KEY = "By key: Tab into the table, arrows to a row, Enter opens it."
_TICK_SECONDS = 1.0
_UNDERWAY = "underway"  # among what the page has said
_SAID = "frame_said"  # what the page has said went wrong, and which of its parts said so
_COMMAND_AT_ITS_END = re.compile(
    rf"(?P<told>.*): (?P<command>{PROGRAM} (?:(?!\. |, | \().)+)(?P<after> \(.+\))?", re.DOTALL
)
_ROW_PIXELS, _ROWS_WITHOUT_SCROLLING = 33, 10
Given = ParamSpec("Given")
_part: ContextVar[str] = ContextVar("part", default="")  # the fragment that is drawn now
roles.told_by(sign_in.role)
schemapi.disable_debug_mode()  # parts of charts are held against the schema by tests, not at each draw

# Icon and badge colour of each state of a run; the word always stands beside them.
STATE_ICONS = {
    "queued": ":material/schedule:",
    "running": ":material/play_circle:",
    "succeeded": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
    "lost": ":material/help:",
}
STATE_COLOURS = {
    "queued": "gray",
    "running": "blue",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "orange",
    "lost": "orange",
}


def draw() -> st.Page:
    """Set the app's settings, draw logo and navigation, and return the page the address asks for.

    The pages get no icons in the declaration: Streamlit would fetch those from another server.
    """
    addresses.remarks(nowhere=True)
    st.session_state[_SAID] = {}
    st.set_page_config(page_title="Persona Lab", page_icon=_HERE / "mark.svg", layout="wide")
    st.logo(_HERE / "logo.svg", size="large", icon_image=_HERE / "mark.svg")
    if studies.here() is None:
        return st.navigation(studies.nowhere(), position="hidden")
    ws = workspace()
    declared = (*(entry[:3] for entry in _MENU), *_BY_LINK)
    pages = [_page(script, studies.address(address, ws), title) for script, address, title in declared]
    if all(one.url_path for one in pages):  # Streamlit wants a first one, which is the server's own study
        pages = [st.Page(studies.gone, title="Study", default=True), *pages]
    page = st.navigation(pages, position="hidden")
    sign_in.require()
    with st.sidebar:
        for script, _, label, icon in _MENU:
            st.page_link(script, label=label, icon=icon, width="stretch")
        studies.switcher(ws)
        st.page_link(WORDS, label="Keys and words", icon=":material/help:", width="stretch")
    return page


def _page(script: str, address: str, title: str) -> st.Page:
    return st.Page(script, title=title, url_path=address or None, default=not address)


def modules() -> list[str]:
    """Return the names of the modules of the menu's pages."""
    scripts = (Path(script).relative_to(_PAGES_FOLDER.parent).with_suffix("") for script, *_ in _MENU)
    return [".".join(one.parts) for one in scripts]


def script_of(address: str) -> str:
    """Return the script of the page at an address, "" for the first."""
    return {own: script for script, own, *_ in (*_MENU, *_BY_LINK)}[address]


def run(show: Callable[[], None]) -> None:
    """Run a page inside the boundary. The last line of every page's script."""
    downloads.tell("")
    with boundary():
        show()


def workspace() -> Workspace:
    """Return this session's workspace (pages/shared/studies.py); the server's own where it has none."""
    return studies.here() or open_workspace()


def read_only() -> bool:
    """Say whether this app only shows: pages then disable whatever changes the workspace, and say why."""
    return machine.read_only(workspace())


def closed(least: Role = "run") -> str:
    """Return why who is at the app may change nothing of this kind; "" where nothing stands in the way."""
    if not read_only():
        return next((one.message for one in extensions.failing(workspace())), roles.obstacle(least))
    torn = machine.unreadable(workspace())
    return "This workspace is read-only." if torn is None else torn.message


@drawing.once_a_drawing
def is_narrow() -> bool:
    """Say whether the screen is a telephone's, as the browser said when the page was loaded (narrow.js)."""
    return st.context.cookies.get("persona_lab_narrow") == "1"


def action(
    label: str,
    *,
    least: Role = "run",
    off: bool = False,
    help: str | None = None,
    form: bool = False,
    command: str = "",
    **told: Any,
) -> bool:
    """Show a button for what changes something: it is off, and says why, where it may not be done.

    In a `form` it is what sends it. `command` is the line (or lines) that does the same.
    """
    button, why = st.form_submit_button if form else st.button, closed(least)
    pressed = bool(
        button(
            label, disabled=off or bool(why), help=plain(why) if why else as_command(command, help), **told
        )
    )
    if pressed:
        drawing.begin()
    return pressed


def as_command(command: str, help: str | None = None) -> str | None:
    """Return what a button tells who hovers or comes by key: what it does, and its command, to copy."""
    if not command:
        return help
    fence = max(["``", *re.findall("`+", command)], key=len) + "`"  # what it holds ends no block of code
    return f"{help or ''}\n\nAs a command:\n{fence}\n{on_lines(command)}\n{fence}".strip()


def is_prepared(ws: Workspace) -> bool:
    """Say whether the workspace has data."""
    return ws.config.exists()


def persona_query(persona_id: str, variant: str | None = None, **more: str) -> dict[str, str]:
    """Return the address of a persona's page as query parameters: for links, and for `open_persona`."""
    return {"persona": persona_id, **({"variant": variant} if variant else {}), **more}


def persona_link(label: str, persona_id: str) -> None:
    """Show a link to a persona's page."""
    query = persona_query(persona_id)
    st.page_link(PERSONA, label=plain(label), icon=":material/person:", query_params=query)


def run_link(run_id: str, label: str = "", **told: Any) -> None:
    """Show a link to a run (several: their ids between commas), by its id where no label words it."""
    st.page_link(RUNS, label=plain(label or run_id), query_params={"run": run_id}, **told)


def open_persona(persona_id: str, variant: str | None = None, **more: str) -> NoReturn:
    """Go to a persona's page, with one variant looked at. Not for callbacks: call it from the page."""
    st.switch_page(PERSONA, query_params=persona_query(persona_id, variant, **more))


@contextmanager
def boundary(controls: Mapping[str, str] | None = None) -> Iterator[None]:
    """Show what the user can mend as a message with its remedy; everything else stays an exception.

    `controls` names the page's own control for each flag that a remedy may speak of.
    """
    try:
        with extensions.only_looking():
            yield
    except EngineError as error:
        show_error(error, controls)
    except aside.Underway as waiting:
        underway(waiting.job)
    except OSError as error:
        told = refusal(error)
        if told is None:
            raise
        show_error(told, controls)


def folded(label: str, show: Callable[[], object], *, key: str, icon: str) -> None:
    """Fold a part of a page away: it is computed once it is opened."""
    place = st.expander(label, icon=icon, key=key, on_change="rerun")
    if place.open:
        with place, boundary():
            show()


def guarded(function: Callable[Given, None]) -> Callable[Given, None]:
    """Put a fragment inside the boundary: it is drawn anew without its page."""

    @functools.wraps(function)
    def inside(*args: Given.args, **kwargs: Given.kwargs) -> None:
        token = _part.set(function.__qualname__)
        said: dict[str, str] = st.session_state.get(_SAID, {})
        st.session_state[_SAID] = {told: by for told, by in said.items() if by != _part.get()}
        try:
            with drawing.drawn(), boundary():
                function(*args, **kwargs)
        finally:
            _part.reset(token)

    return inside


def show_error(error: EngineError, controls: Mapping[str, str] | None = None) -> None:
    """Show message and remedy, and every fault of refused data in a table; what the page has said already,
    it does not say again."""
    if is_said(error):
        return
    here = functools.partial(on_this_page, controls=controls or {})
    st.error(plain(here(error.message)), icon=":material/error:")
    if isinstance(error, DataError) and error.faults:
        table(
            {
                "File": [fault.file for fault in error.faults],
                "Line": [fault.line or None for fault in error.faults],
                "What is wrong": [here(fault.what) for fault in error.faults],
            },
            alt="Faults found in the data, by file and line",
        )
    remedy(here(error.hint))


def underway(job: aside.Job) -> None:
    """Show how far an answer is that takes its time, once a page; the page is drawn anew when it is there."""
    if st.session_state[_SAID].setdefault(_UNDERWAY, _part.get()) == _part.get():
        st.fragment(_progress, run_every=_TICK_SECONDS)(job)


def _progress(job: aside.Job) -> None:
    if job.made.done():
        st.rerun()
    took = duration(time.monotonic() - job.began)
    if job.total:
        done = job.total - job.left
        st.progress(done / job.total, text=f"Comparing: {done:,} of {job.total:,} pairs of variants, {took}")
    else:
        st.caption(f":material/hourglass_top: Reading the scores, {took} so far")
    st.caption(
        "Once after new results or a new version; it is kept. The rest of the page can be used meanwhile."
    )


def is_said(error: EngineError) -> bool:
    """Say whether the page, by any of its parts, has said what is wrong: once a file. From now on it has."""
    said: dict[str, str] = st.session_state.setdefault(_SAID, {})
    told = [str(error)]
    if isinstance(error, TornFile):
        told = [_subject(error.path)]
    elif isinstance(error, integrity.ChangedFiles):
        told = [_subject(one.path) for one in error.files]
    known = all(one in said for one in told)
    for one in told:
        said.setdefault(one, _part.get())
    return known


def _subject(path: Path) -> str:
    """What a file is part of: its run, else nothing but itself."""
    runs = workspace().runs
    return str(runs / path.relative_to(runs).parts[0] if path != runs and path.is_relative_to(runs) else path)


def on_this_page(text: str, *, controls: Mapping[str, str]) -> str:
    """Return a text in which a flag is named as the control that does the same here."""
    for flag, control in controls.items():
        text = re.sub(rf"{flag}\b", f"“{control}”", text)
    return text


def heading(title: str, lead: str) -> None:
    """Show a page's title, the question it answers, its link, and what its address asks for in vain."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(title, anchor=False, width="stretch")
        addresses.link()
    words = glossary.met_on(title)
    st.caption(lead, help=f"Words met here:\n{glossary.as_lines(words)}" if words else None)
    named(title)
    remarks()


def remarks() -> None:
    """Say below a page's title what its address asks for in vain, and which settings or own code fail."""
    addresses.remarks()
    ws = workspace()
    for error in (machine.unreadable(ws), *extensions.failing(ws)):
        if error is not None:
            show_error(error)


def named(title: str) -> None:
    """Name the browser's tab after what the page shows, and the study."""
    st.set_page_config(page_title=f"{title} · {workspace().root.name}")


def empty_state(
    title: str, text: str, *, page: str = HOME, label: str = "Run the first experiment", **told: Any
) -> None:
    """Show what is missing, why, and the way to it."""
    with st.container(border=True, horizontal_alignment="left", gap="small", key="page_onward"):
        st.subheader(title, anchor=False)
        st.markdown(text)
        st.page_link(page, label=label, icon=":material/arrow_forward:", **told)


def no_data_yet(shown: str) -> None:
    """Show the empty state of a workspace without data: what will be `shown` here, and the way to it."""
    empty_state(
        "No data yet",
        f"{shown} It starts from a set of personas and their dialogues.",
        label="Prepare the first data",
    )


def changed_files(ws: Workspace) -> None:
    """Say which files are not what was taken in, and what can be done; nothing where all are."""
    found = integrity.changed(ws)
    if found and not is_said(integrity.ChangedFiles(found)):
        told = f"{'; '.join(map(str, found))}. Results here were made before that; nothing new starts on it."
        st.warning(plain(told), icon=":material/edit_document:")
        remedy(integrity.remedy(ws))


def torn_runs(ws: Workspace) -> None:
    """Say which finished runs cannot be read, and so are missing in what is shown; nothing where all can."""
    for one in store.torn(ws):
        if is_said(TornFile(ws.run_folder(one.run_id), one.reason)):
            continue
        st.warning(
            f"{plain(one.run_id)} cannot be read, so nothing of it is shown here: {plain(one.reason)}",
            icon=":material/folder_off:",
        )
        remedy("Look at it: python -m engine doctor")


def remedy(text: str | None) -> None:
    """Show what to do, where something is told; a command that it ends with stands below, to copy."""
    if not text:
        return
    told = in_workspace(text, workspace())
    found = _COMMAND_AT_ITS_END.fullmatch(told)
    if found is None:
        st.caption(plain(told))
        return
    st.caption(plain(f"{found['told']}{found['after'] or ''}:"))
    show_command(found["command"])


def show_command(*lines: str) -> None:
    """Show command lines to copy."""
    st.code(on_lines("\n".join(lines)), language=None, wrap_lines=True)


def hint(text: str | None) -> str:
    """Return a remedy as Markdown; commands in it name this workspace, so that they can be pasted."""
    return plain(in_workspace(text or "", workspace()))


def command(*words: str, **options: Any) -> str:
    """Return a command line that means this workspace."""
    return command_line(*words, ws=workspace(), options=options)


def state_badge(state: str) -> None:
    """Show a run's state as icon, colour and word."""
    st.badge(STATE_WORDS[state], icon=STATE_ICONS[state], color=STATE_COLOURS[state])  # type: ignore[arg-type]


def table(
    shown: pd.DataFrame | Styler | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    say_key: bool = True,
    **told: Any,
) -> Any:
    """Show columns, or rows, as `st.dataframe` does. What a reader saves of it as CSV holds no formula.

    Without `say_key` the page itself says how a row is opened by key, as where several tables stand together.
    """
    drawn = shown if isinstance(shown, Styler) else _as_text(pd.DataFrame(shown))
    rows = len(drawn.index)
    if told.get("height") == "content" or ("height" not in told and rows <= _ROWS_WITHOUT_SCROLLING):
        told["height"] = _ROW_PIXELS * (rows + 1) + 2  # its room is kept until it is drawn
    event = st.dataframe(drawn, hide_index=True, **{"placeholder": "", **told})  # nothing is no "None"
    if "on_select" in told and say_key:
        st.caption(BY_KEY)
    return event


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts no spreadsheet calculates, with nothing to be seen of it."""
    made = table.apply(
        lambda column: column.map(in_table) if is_string_dtype(column) or is_object_dtype(column) else column
    )
    return made.rename(columns=in_table)


def worded(table: pd.DataFrame, words: Mapping[str, Callable[[Any], str]]) -> Styler:
    """Let a table show numbers in words, such as a duration; it still sorts by number."""
    held: Any = {name: word for name, word in words.items() if name in table}
    return _as_text(table).style.format(held, na_rep="")


def scored(
    table: pd.DataFrame, metric: Metric, *, levels: Sequence[str] = (), changes: Sequence[str] = ()
) -> Styler:
    """Let a table show columns of a metric's values and differences, which hold points, in its own words."""
    factor = metric.factor
    words = dict.fromkeys(levels, lambda value: metric.level(value / factor))
    return worded(table, words | dict.fromkeys(changes, lambda value: metric.change(value / factor)))


def chart(
    drawn: Chart | dict[str, Any],
    *,
    alt: str,
    key: str = "",
    on_paper: Callable[[], Chart] | None = None,
    **told: Any,
) -> Any:
    """Show a chart with its numbers (`engine/show/charts/looks.py` says how one is made).

    It is offered as files, too; `on_paper` makes the one in the files where that is another. Also takes a
    specification.
    """
    height = drawn.get("height") if isinstance(drawn, dict) else getattr(drawn, "height", None)
    if isinstance(height, int):
        told.setdefault("height", height)  # its room is kept until it is drawn
    with st.container(gap="xxsmall", key=f"chart_{key or alt}"):
        spec = drawn if isinstance(drawn, dict) else specification(drawn)
        event = st.vega_lite_chart(spec, alt=alt, key=key or None, **told)
        with st.container(horizontal=True, gap="small"):
            numbers.menu(drawn, alt=alt, key=key or alt)
            downloads.chart_menu(on_paper or (lambda: drawn), alt=alt, key=key or alt)
    return event


def select_rows(key: str, rows: list[int]) -> None:
    """Select rows of the table `key` before it is drawn, so that it shows what is open elsewhere."""
    held = st.session_state.get(key)
    if held is None or list(held["selection"]["rows"]) != rows:
        st.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}


def clicked(event: Any) -> dict[str, Any] | None:
    """Return what was clicked in a chart: by its event or, in a callback, by its key; None for nothing."""
    held = st.session_state[event] if isinstance(event, str) else event
    return next(iter(held["selection"].get(CHOSEN, ())), None)
