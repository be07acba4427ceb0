"""What stands in a page's address: every choice by name, so that a link means the same for ever.

Owns the choices that live there, what is said of a name that is gone, the button that copies the link, and
whose an address is: the page's own, late on its way back from the browser, or one asked for anew. The browser
may send a change, and a part of a page that draws itself anew may ask for the whole, with an address
of a moment ago, before the new one has reached it. Taken at its word, it would undo the last choice. Going
back brings such an address too, and says so. What one press of Back leads to: going_back.js.
"""

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.core.plain import in_markdown as plain
from pages.shared.drawn import drawn

ALL = "all"
_REMEMBERED = 8  # addresses that may still be on their way back from the browser
_ON_ITS_WAY = 3.0  # seconds that an address may be late
_link = drawn(
    "copy_link", __file__, html='<button type="button">Copy link</button><span role="status"></span>'
)
_remarks: ContextVar[DeltaGenerator | None] = ContextVar("remarks", default=None)


@dataclass(frozen=True, slots=True)
class Written:
    """What widgets wrote into the address and what they held then; what it was before, and until when."""

    address: Any
    held: Any
    left: Sequence[tuple[float, Any]] = ()

    def then(self, address: Any, held: Any) -> "Written":
        """Return what is remembered after `address` was written for what widgets `held`."""
        if address == self.address:
            return replace(self, held=held)
        return Written(address, held, [*self.left, (time.monotonic(), self.address)][-_REMEMBERED:])

    def is_own(self, asked: Any, held: Any) -> bool:
        """Say whether `asked`, come with what widgets hold now, was written here and asks for nothing new."""
        if came_back():
            return False
        if asked == self.address:
            return True
        times = [left for left, address in self.left if address == asked]
        return bool(times) and (held != self.held or time.monotonic() - times[-1] < _ON_ITS_WAY)


def came_back() -> bool:
    """Say whether the page is drawn because the reader went back or forward."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and context.is_history_navigation


def anew(key: str) -> bool:
    """Say whether a widget takes what it holds from the address: it is new, or the reader went back."""
    return key not in st.session_state or came_back()


def link() -> None:
    """Show the button that copies the page's link."""
    _link(key="page_link", width="content")


def remarks(*, nowhere: bool = False) -> None:
    """Make this the place where it is said what the address asks for in vain, until the page is drawn anew.

    `nowhere` forgets the place of the page before.
    """
    _remarks.set(None if nowhere else st.container())


def gone(label: str, asked: str, shown: str) -> None:
    """Say that the address asks for something that is not here, and what is shown in its place."""
    place = _remarks.get() or st
    what = f"{label[:1].lower()}{label[1:]} {asked}"
    end = "" if shown.endswith(("?", "\N{HORIZONTAL ELLIPSIS}")) else "."
    place.warning(
        plain(f"The address asks for the {what}, which is not here. Shown instead: {shown}{end}"),
        icon=":material/link_off:",
    )


def linked_choice(
    label: str,
    options: Sequence[str],
    *,
    page: str,
    name: str,
    words: Callable[[str], str] = str,
    segmented: bool = False,
    labelled: bool = True,
    kept: bool = False,
    whole: str = "",
    help: str | None = None,
) -> str | None:
    """Show a choice that lives in the address as ?name=value; return what is chosen, by default the first.

    What is shown always stands in the address, a default too: another may be first tomorrow. A name there
    that is no option is said to be gone, and stays until another is chosen. With `kept` whoever comes back to
    the page finds the choice as it was. With `whole` (its words) the first option is "all", told as None and
    left out of the address. Code sets the choice through `choose`, before the widget is drawn. What was shown
    here and is no option any more since something else was chosen goes without a word.
    """
    if whole:
        options = [ALL, *options]

    def worded(one: str) -> str:
        return whole if whole and one == ALL else words(one)

    key, seen = f"{page}_{name}", f"{page}_{name}_address"
    asked = st.query_params.get(name)
    written: Written | None = st.session_state.get(seen)
    held = st.session_state.get(key)
    if kept and asked is None and key not in st.session_state:
        asked = written.address if written else None
    anew = held is None or not written or not written.is_own(asked, held)
    still_asked = written is not None and held == written.held != asked  # it was never shown here
    is_gone = asked not in (None, *options) and (anew or still_asked)
    if asked in options and anew:
        st.session_state[key] = asked
    if st.session_state.get(key) not in (None, *options):
        del st.session_state[key]
    value: str | None
    if segmented:
        value = st.segmented_control(
            label, options, default=None if key in st.session_state else options[0],
            format_func=lambda one: plain(worded(one)), required=True, key=key, help=help,
            label_visibility="visible" if labelled else "collapsed",
        )  # fmt: skip
    else:
        value = st.selectbox(label, options, format_func=worded, key=key, help=help)
    if is_gone and value is not None:
        gone(label, str(asked), worded(value))
    else:
        write(name, None if whole and value == ALL else value)
    address = st.query_params.get(name)
    st.session_state[seen] = written.then(address, value) if written else Written(address, value)
    return None if whole and value == ALL else value


def linked(name: str, options: Sequence[str], *, label: str) -> str:
    """Return what the address says for ?name=value, by default the first option, and see that it says so.

    For what has no widget where there is nothing to choose, and for what is chosen by a click (`point`). What
    was shown here, and is no option any more since something else was chosen, goes without a word.
    """
    asked = st.query_params.get(name)
    if asked in options:
        st.session_state[f"linked_{name}"] = asked
        return str(asked)
    if asked is None or (asked == st.session_state.get(f"linked_{name}") and not came_back()):
        st.query_params[name] = st.session_state[f"linked_{name}"] = options[0]
    else:
        gone(label, asked, options[0])
    return options[0]


def write(name: str, value: str | None) -> None:
    """Let the address say ?name=value; for None, nothing of that name."""
    if value is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value


def point(name: str, value: str) -> None:
    """Write what `linked` tells from here on; for callbacks.

    One that comes again with a press of Back was made before it, and was cut off by it: Back holds.
    """
    if not came_back():
        st.query_params[name] = st.session_state[f"linked_{name}"] = value


def forget(name: str) -> None:
    """Take a name out of the address; for callbacks, as `point`."""
    if not came_back():
        st.query_params.pop(name, None)


def choose(page: str, name: str, value: str | None) -> None:
    """Set a linked choice from elsewhere on its page, in a callback."""
    st.session_state[f"{page}_{name}"] = value


def chosen(page: str, name: str, options: Sequence[str]) -> str | None:
    """Return a linked choice before its widget is drawn; None when nothing valid is chosen."""
    held = st.session_state.get(f"{page}_{name}") or st.query_params.get(name)
    return held if held in options else None
