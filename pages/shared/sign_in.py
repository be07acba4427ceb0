"""Signing in through Streamlit's own OpenID Connect, where secrets.toml configures it: the door, and roles.

Without an [auth] section there is no door, and whoever is at the app owns it: it listens on this machine
alone (.streamlit/config.toml). With one, [roles] in the same file says who may look, run or own, and nothing
that the app writes can change that. An address is written whole, or as "@domain" for all of one.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.core.errors import EngineError, unknown_name
from engine.core.roles import ROLES, Role

_WORDS: Mapping[Role, str] = {"look": "may look", "run": "may look and run", "own": "owner"}


def require() -> None:
    """Let nobody further who has not signed in or has no role; side effect: stops the page for them.

    Stops it for everybody where signing in is configured and its packages are missing, or roles are misspelt.
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
    try:
        mine = role()
    except EngineError as error:
        _door(f"The roles of this app cannot be read. {error.message}")
        st.stop()
    if mine is None:
        _door("This account may not open this study. Ask the person who runs it to add your address.")
        st.button("Sign out", icon=":material/logout:", on_click=st.logout, key="sign_out")
        st.stop()
    with st.sidebar:
        told = f"Signed in as {st.user.get('email') or 'nobody known'}: {_WORDS[mine]}"
        st.button("Sign out", help=told, on_click=st.logout, key="sign_out")


def configured() -> bool:
    """Say whether secrets.toml has an [auth] section."""
    return bool(st.secrets.load_if_toml_exists()) and "auth" in st.secrets


def role() -> Role | None:
    """Return the role of who is at the app now: the owner's without a door, None outside of it.

    Raises EngineError where [roles] names one that there is not.
    """
    if not configured():
        return "own"
    if not st.user.get("is_logged_in"):
        return None
    verified = st.user.get("email_verified", True) in (True, "true", "True")
    return role_of(
        str(st.user.get("email") or ""),
        verified,
        st.secrets.get("roles", {}),
        st.secrets.get("persona_lab", {}).get("allowed", ()),
    )


def role_of(
    email: str, verified: bool, named: Mapping[str, Any], allowed: Sequence[str] | str = ()
) -> Role | None:
    """Return the highest role that names an address; who is only allowed in may look; None for a stranger.

    Where nobody is named at all, whoever signs in may look. An address that the provider has not verified is
    nobody's. Raises EngineError for a role that there is not.
    """
    for name in named:
        if name not in ROLES:
            raise unknown_name("role", name, ROLES)
    for one in reversed(ROLES):
        if _is_among(email, verified, named.get(one, ())):
            return one
    nobody_named = not any(named.values()) and not allowed
    return "look" if nobody_named or _is_among(email, verified, allowed) else None


def _is_among(email: str, verified: bool, entries: Sequence[str] | str) -> bool:
    address = email.strip().lower()
    _, at, domain = address.rpartition("@")
    several = [entries] if isinstance(entries, str) else entries
    wanted = {str(entry).strip().lower() for entry in several}
    return bool(at) and verified and (address in wanted or f"@{domain}" in wanted)


def _door(text: str) -> None:
    st.title("Persona Lab", anchor=False)
    st.markdown(text)
