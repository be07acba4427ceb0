"""Choosing a base model, and the card that says what will work with it."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.core.base_identity import shown_base
from engine.core.errors import EngineError
from engine.show.base_cards import offered, probed
from pages.shared import frame

_OTHER = "other"
_GROUPS = (
    ("refused", "Refused", ":red[:material/block:]"),
    ("mended", "Done about it", ":orange[:material/build:]"),
    ("works", "Works", ":green[:material/check_circle:]"),
)


def choose(key: str, *, current: str | None = None) -> str:
    """Show the choice of a base; return its name, "" while none is given."""
    known = {one.name: one for one in offered()}
    names = [*known, _OTHER]

    def words(name: str) -> str:
        if name == _OTHER:
            return "another one: a folder or a hub id"
        one = known[name]
        return f":gray[{one.words}; not set up here: `{one.missing}`]" if one.missing else one.words

    start = current if current in known else _OTHER if current else names[0]
    chosen = st.radio("Base model", names, index=names.index(start), format_func=words, key=key)
    other = st.text_input(
        "Folder or hub id",
        "" if current is None or current in known else current,
        placeholder="path/to/model or Qwen/Qwen2.5-0.5B-Instruct, for another one only",
        key=f"{key}_other",
    )
    return (other or "").strip() if chosen == _OTHER else str(chosen)


def look(base: str) -> dict[str, Any]:
    """Return the card of a base, looked at now. Raises EngineError where none is named or set up."""
    if not base:
        raise EngineError("No base model was named.", "Give a folder, or a hub id such as owner/name.")
    missing = next((one.missing for one in offered() if one.name == base), "")
    if missing:
        raise EngineError(f"{base} is not set up on this machine.", f"Set it up, once: {missing}")
    with st.spinner(f"Looking at {base}: template, token ids, window, layers, a training step, a reply ..."):
        return probed(base)


def show(card: Mapping[str, Any]) -> None:
    """Show what was found, refusals first."""
    with st.container(border=True, key="base_card"):
        name = frame.plain(shown_base(card["base"]))
        st.markdown(f"**{name}** {'can be the base.' if card['usable'] else 'cannot be the base.'}")
        for verdict, title, icon in _GROUPS:
            found = [one for one in card["findings"] if one["verdict"] == verdict]
            if found:
                st.markdown(f"###### {title}")
                st.markdown("  \n".join(_line(one, icon) for one in found))


def _line(finding: Mapping[str, Any], icon: str) -> str:
    told = f"{icon} **{frame.plain(finding['name'])}**: {frame.plain(finding['detail'])}"
    return f"{told} {frame.hint(finding['hint'])}" if finding["hint"] else told
