"""The workspace's base model: what it is, what a look at it finds, and another one in its place."""

import streamlit as st

from engine.core.base_identity import shown_base
from engine.core.errors import EngineError
from engine.core.paths import Workspace, embedded_base
from engine.show import about
from engine.strategies.ground import change_base
from pages.shared import base_card, frame

_CARD = "settings_base_card"


def show(ws: Workspace) -> None:
    st.subheader("Base model", anchor=False)
    _current(ws)
    with st.expander("Look at it, or use another one", icon=":material/swap_horiz:"):
        _other(ws)
    card = st.session_state.get(_CARD)
    if card is not None:
        base_card.show(card)


def _current(ws: Workspace) -> None:
    found = about.base_model(ws)
    if found.fault:
        st.error(frame.plain(found.fault), icon=":material/error:")
        frame.remedy(found.hint)
        return
    st.markdown(f"**{frame.plain(shown_base(found.name))}**")
    if found.folder is None:
        st.caption("A model of the hub, at this revision for good; kept in the hub's cache of this machine.")
        return
    facts = {
        "Parameters": f"{found.parameters:,}" if found.parameters else None,
        "Layers": found.layers,
        "Width": found.width,
        "Vocabulary": f"{found.vocabulary:,}" if found.vocabulary else None,
        "Window, tokens": f"{found.window:,}" if found.window else None,
        "On disk": about.in_words(found.size_bytes or 0),
    }
    with st.container(horizontal=True, gap="medium", key="facts_base"):
        for label, value in facts.items():
            if value is not None:
                st.metric(label, str(value), width="content")
    st.caption(frame.plain(f"{found.architecture}, in {found.folder}"))
    if found.card:
        with st.expander("Its card", icon=":material/badge:"):
            if found.folder == embedded_base():
                st.markdown(_below_a_heading(found.card))
            else:
                st.code(found.card, language=None, wrap_lines=True)


def _other(ws: Workspace) -> None:
    current = str(ws.read_config()["base"])
    base = base_card.choose("settings_base", current=current)
    st.caption(
        "What was made stays and is shown under its own protocol; what is launched from then on stands on "
        "the new base."
    )
    with st.container(horizontal=True):
        looks = st.button("Look at it", icon=":material/search:", key="settings_base_look")
        uses = st.button(
            "Use it from now on",
            icon=":material/swap_horiz:",
            key="settings_base_use",
            disabled=frame.read_only() or base == current,
            help=frame.as_command(frame.command("base", "use", base or "NAME")),
        )
    with frame.boundary():
        if looks or uses:
            st.session_state[_CARD] = card = base_card.look(base)
        if uses and card["usable"]:
            change_base(ws, base)
            st.toast(f"The base is {frame.plain(base)} from now on.")
            st.rerun()
        elif uses:
            raise EngineError(f"{base} cannot be the base.", "See what was refused below.")


def _below_a_heading(card: str) -> str:
    """Make a card's headings smaller than the page's."""
    return "\n".join(f"###{line}" if line.startswith("#") else line for line in card.splitlines())
