"""Signing in through Streamlit's own OpenID Connect, where secrets.toml configures it. Draws the door only.

Without an [auth] section there is no door: the app listens on this machine alone (.streamlit/config.toml).
Who may enter, once known, is [persona_lab] allowed: addresses, or "@domain" for all of one. Owns no password.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import streamlit as st


def require() -> None:
    """Let nobody further who has not signed in or is not on the list; side effect: stops the page for them.

    Stops it for everybody where signing in is configured and its packages are missing.
    """
    if not configured():
        return
    if importlib.util.find_spec("authlib") is None:
        _door("Signing in is configured, but its packages are missing. Install them: make setup-auth")
        st.stop()
    if not st.user.get("is_logged_in"):
        _door("Sign in to open this study.")
        st.button("Sign in", icon=":material/login:", type="primary", on_click=st.login, key="sign_in")
        st.stop()
    email = str(st.user.get("email") or "")
    if not may_enter(email, bool(st.user.get("email_verified", True)), _allowed()):
        _door("This account may not open this study. Ask the person who runs it to add your address.")
        st.button("Sign out", icon=":material/logout:", on_click=st.logout, key="sign_out")
        st.stop()
    with st.sidebar:
        told = f"Signed in as {email}" if email else None
        st.button("Sign out", help=told, on_click=st.logout, key="sign_out")


def configured() -> bool:
    """Say whether secrets.toml has an [auth] section."""
    return bool(st.secrets.load_if_toml_exists()) and "auth" in st.secrets


def may_enter(email: str, verified: bool, allowed: Sequence[str]) -> bool:
    """Say whether an address is let in: everybody who signed in when nobody is named, else who is named.

    An address that the provider has not verified is nobody's.
    """
    if not allowed:
        return True
    address = email.strip().lower()
    _, at, domain = address.rpartition("@")
    wanted = {entry.strip().lower() for entry in allowed}
    return bool(at) and verified and (address in wanted or f"@{domain}" in wanted)


def _allowed() -> list[str]:
    section = st.secrets.get("persona_lab", {})
    return [str(entry) for entry in section.get("allowed", ())]


def _door(text: str) -> None:
    st.title("Persona Lab", anchor=False)
    st.markdown(text)
