"""Which workspace a session is about: the one that its address names, else the server's own.

Several sessions share a server, so nothing here is the server's: every page of another workspace has an
address of its own (compare, and pilot-3f2a1c.compare), which links, reloads and Back keep. An address leads
only to what the owner of this account has opened before. Runs of a workspace that nobody looks at go on.
"""

import re
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from engine.core import opened, roles
from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace, make_folder, open_workspace
from engine.core.plain import in_markdown as plain
from pages.shared import sign_in
from pages.shared.drawing import once_a_drawing

_OTHER = re.compile(r"(?P<name>[a-z0-9-]+-[0-9a-f]{6})\.(?P<page>[a-z]*)")
_HELD, _HOME = "studies_workspace", "study"


def named(url: str | None) -> str:
    """Return the short name of the workspace that an address of the app is about, "" for the server's own."""
    last = urlsplit(url or "").path.rpartition("/")[2]
    found = _OTHER.fullmatch(last)
    return found["name"] if found else ""


@once_a_drawing
def here() -> Workspace | None:
    """Return this session's workspace; None where its address names one that is gone, or forbidden."""
    name = named(st.context.url)
    if not name:
        return _own()
    if not roles.may("own"):
        return None
    held: tuple[str, Workspace] | None = st.session_state.get(_HELD)
    if held is None or held[0] != name or not held[1].root.is_dir():
        found = opened.by_address(name)
        held = (name, found) if found else None
        st.session_state[_HELD] = held
    return held[1] if held else None


@once_a_drawing
def _own() -> Workspace:
    """The server's own workspace."""
    return open_workspace()


def address(page: str, ws: Workspace) -> str:
    """Return the address of a page over a workspace; `page` is "" for the first."""
    return page if ws.root == _own().root else f"{opened.name_in_address(ws)}.{page or _HOME}"


def switcher(ws: Workspace) -> None:
    """Show which study is open, the way to the others, and a new one. Side effect: remembers this one."""
    if not roles.may("own"):
        return
    if ws.config.exists() and st.session_state.get("studies_seen") != ws.root:
        opened.remember(ws)
        st.session_state["studies_seen"] = ws.root
    told = "The study that is open; the others, and a new one"
    with st.popover(
        plain(ws.root.name or str(ws.root)), icon=":material/folder_open:", width="stretch", help=told
    ):
        others = {one.root: one for one in (_own(), *opened.workspaces()) if one.root != ws.root}
        st.caption(plain(f"This study is in {ws.root}"))
        if others:
            st.html("<br>".join(_link(one) for one in others.values()))
        _new(ws)


def nowhere() -> list[st.Page]:
    """Return the pages of an address whose workspace is not to be had: all say so."""
    last = urlsplit(st.context.url or "").path.rpartition("/")[2]
    return [st.Page(gone, title="Study", default=True), st.Page(gone, title="Study", url_path=last or "gone")]


def gone() -> None:
    """Say that the workspace of this address is not to be had, and lead to the server's own."""
    sign_in.require()
    st.title("This study is not here", anchor=False)
    st.markdown("Its folder was moved or deleted, or it was never opened by whoever runs this app.")
    st.html(_link(open_workspace()))


def _link(ws: Workspace) -> str:
    """A link that loads the app anew: nothing of this session goes along."""
    told = f"Open {ws.root.name or ws.root}"
    return f'<a href="{escape(address("", ws) or "./")}" title="{escape(str(ws.root))}">{escape(told)}</a>'


def _new(ws: Workspace) -> None:
    from pages.shared import frame  # it draws this

    place = Path.home() / "persona-lab" if ws.root == REPOSITORY else ws.root.parent
    with st.form("studies_new", border=False):
        folder = st.text_input("New study, in the folder", str(_free(place)), key="studies_folder")
        made = frame.action("New study", form=True, least="own", icon=":material/create_new_folder:")
    if made:
        with frame.boundary():
            st.html(_link(begin(folder)))


def begin(folder: str) -> Workspace:
    """Make the folder of a new study and remember it; one that is there is opened. Raises EngineError."""
    root = Path(folder.strip()).expanduser()
    if not root.is_absolute():
        raise EngineError(f"{folder!r} is not a whole path.", "Give one that begins with / or ~.")
    ws = Workspace(root.resolve())
    if root.is_dir() and any(root.iterdir()) and not ws.config.exists():
        raise EngineError(f"{root} holds other things.", "Give a new folder, or that of a workspace.")
    make_folder(ws.root)
    if not opened.remember(ws):
        raise EngineError("The list of your studies cannot be written.", "Give it a folder: XDG_CONFIG_HOME")
    return ws


def _free(place: Path) -> Path:
    return next(one for number in range(1, 1000) if not (one := place / f"study-{number}").exists())
