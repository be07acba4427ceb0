"""The door: nobody passes who has not signed in where signing in is configured; without it there is none."""

from __future__ import annotations

import importlib.util

import pytest
from streamlit.testing.v1 import AppTest

DOOR = """
import streamlit as st
from pages.shared import sign_in
sign_in.require()
st.write("inside")
"""
AUTH = {
    "redirect_uri": "http://localhost:8501/oauth2callback",
    "cookie_secret": "x" * 32,
    "client_id": "id",
    "client_secret": "secret",
    "server_metadata_url": "https://example.org/.well-known/openid-configuration",
}


def at_the_door(user: dict[str, object], **secrets: object) -> AppTest:
    app = AppTest.from_string(DOOR, default_timeout=240)
    app.user = {"is_logged_in": True, **user}
    for name, value in {"auth": AUTH, **secrets}.items():
        app.secrets[name] = value
    return app.run()


def opened(**secrets: object) -> AppTest:
    app = AppTest.from_string(DOOR, default_timeout=240)
    for name, value in secrets.items():
        app.secrets[name] = value
    return app.run()


def said(app: AppTest) -> list[str]:
    return [entry.value for entry in app.markdown]


def test_without_a_configuration_there_is_no_door() -> None:
    assert said(opened()) == ["inside"]


def test_who_has_not_signed_in_sees_the_door_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    app = opened(auth=AUTH)
    assert not app.exception
    assert "inside" not in said(app)
    assert [button.label for button in app.button] == ["Sign in"]


def test_without_its_packages_the_door_stays_shut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    app = opened(auth=AUTH)
    assert not app.exception
    assert "make setup-auth" in said(app)[0]
    assert "inside" not in said(app)


ROLES = {"own": ["ada@lab.example"], "run": ["@lab.example"]}


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"email": "ada@lab.example", "email_verified": True}, "owner"),
        ({"email": "Bo@Lab.example", "email_verified": "true"}, "may look and run"),
        ({"email": "eve@guests.example"}, "may look"),
        ({"email": "ada@lab.example", "email_verified": "false"}, None),
        ({"email": "mal@elsewhere.example"}, None),
        ({}, None),
    ],
)
def test_who_comes_in_is_told_what_she_may(user: dict[str, object], told: str | None) -> None:
    app = at_the_door(user, roles=ROLES, persona_lab={"allowed": ["@guests.example"]})
    assert ("inside" in said(app)) is (told is not None)
    (button,) = app.button
    assert button.label == "Sign out"
    assert told is None or str(button.help).endswith(f": {told}")


def test_misspelt_roles_keep_the_door_shut() -> None:
    app = at_the_door({"email": "ada@lab.example"}, roles={"owner": ["ada@lab.example"]})
    assert "There is no role named 'owner'" in said(app)[0]
    assert "inside" not in said(app)
