"""Who votes: a name that is asked for once a session, or the one that she signed in under."""

import streamlit as st

_HELD, _ASKED = "voter", "playground_voter"


def voter() -> str:
    """Return the voter's name, "" while none is given."""
    held = st.session_state.get(_HELD)
    return str(held if held is not None else (st.user.get("name") or ""))


def ask() -> None:
    """Show the field for the name; it stays for the session, whatever page is open."""
    name = st.text_input(
        "Voter",
        voter(),
        key=_ASKED,
        max_chars=60,
        placeholder="nobody named",
        help="Your name: votes are kept by voter. It stays until you close this tab.",
    )
    st.session_state[_HELD] = (name or "").strip()
