"""The door: nobody passes who has not signed in where signing in is configured; without it there is none."""

from __future__ import annotations

import importlib.util

import pytest
from streamlit.testing.v1 import AppTest

DOOR = """
import streamlit as st
from pages import sign_in
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
