"""Signing in through a real OpenID Connect provider: who is named comes in, who is not stays outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Open, Visit, served
from tests.ports import free_port

pytestmark = pytest.mark.browser
USERS = [
    User(sub="ann", claims={"email": "Ann@lab.example", "email_verified": True}),
    User(sub="eve", claims={"email": "eve@elsewhere.example", "email_verified": True}),
    User(sub="olga", claims={"email": "olga@lab.example", "email_verified": True}),
    User(sub="mal", claims={"email": "mal@lab.example", "email_verified": False}),
]
SECRETS = """
[auth]
redirect_uri = "{app}/oauth2callback"
cookie_secret = "{cookie}"
client_id = "persona-lab"
client_secret = "only-here"
server_metadata_url = "{provider}/.well-known/openid-configuration"

[persona_lab]
allowed = ["@lab.example"]

[roles]
own = ["olga@lab.example"]
"""


@pytest.fixture(scope="module")
def app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("sign-in"), free_port()
    with run_server_in_thread(user_claims=USERS) as provider:
        secrets = _secrets(folder, port, f"http://localhost:{provider.server_port}")
        with served(folder / "study", "--secrets.files", str(secrets), port=port) as address:
            yield address


def _secrets(folder: Path, port: int, provider: str) -> Path:
    path = folder / "secrets.toml"
    text = SECRETS.format(app=f"http://localhost:{port}", provider=provider, cookie="c" * 32)
    path.write_text(text, encoding="utf-8")
    return path


def _sign_in(visit: Open, app: str, name: str) -> Visit:
    tab = visit(app)
    page = tab.go("settings")
    expect(page.get_by_text("Sign in to open this study.")).to_be_visible()
    expect(page.get_by_role("link", name="Settings")).to_have_count(0)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=name, exact=True).click()
    return tab


def test_who_is_named_comes_in_and_out_again(visit: Open, app: str) -> None:
    page = _sign_in(visit, app, "ann").page
    expect(page.get_by_role("link", name="Settings")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()  # of the provider, which sends her back here
    page.wait_for_url(f"{app}/")
    expect(page.get_by_text("Sign in to open this study.")).to_be_visible()
    expect(page.get_by_role("link", name="Settings")).to_have_count(0)


@pytest.mark.parametrize("name", ["eve", "mal"])
def test_a_stranger_and_an_unverified_address_stay_outside(visit: Open, app: str, name: str) -> None:
    page = _sign_in(visit, app, name).page
    expect(page.get_by_text("This account may not open this study.")).to_be_visible()
    expect(page.get_by_role("link", name="Settings")).to_have_count(0)


def test_who_may_only_look_finds_what_changes_things_turned_off(visit: Open, app: str) -> None:
    tab = _sign_in(visit, app, "ann")
    page = tab.page
    page.get_by_role("link", name="Study").click()
    prepare = page.get_by_role("button", name="Prepare")
    expect(prepare).to_be_disabled()
    tab.settle()  # it stays where it is
    prepare.hover(force=True)
    expect(page.get_by_text("this takes the role 'own'").first).to_be_visible()


def test_the_owner_may_prepare_data(visit: Open, app: str) -> None:
    page = _sign_in(visit, app, "olga").page
    page.get_by_role("link", name="Study").click()
    expect(page.get_by_role("button", name="Prepare")).to_be_enabled()
