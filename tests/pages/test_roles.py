"""What a role may not do is off on every page, and says why; what it may do works."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.machine import change_machine, read_only
from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import scan
from tests.pages.conftest import Open
from tests.pages.test_sign_in import AUTH, ROLES
from tests.sample_study import counting_run, end_badly

USERS: dict[str, dict[str, Any]] = {
    "look": {"email": "eve@guests.example"},
    "run": {"email": "bo@lab.example"},
    "own": {"email": "ada@lab.example"},
}


def signed_in(app: AppTest, role: str) -> AppTest:
    """The page as somebody with that role sees it."""
    app.user = {"is_logged_in": True, "email_verified": True, **USERS[role]}
    secrets = {"auth": AUTH, "roles": ROLES, "persona_lab": {"allowed": ["@guests.example"]}}
    for name, value in secrets.items():
        app.secrets[name] = value
    app.run()
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def off(app: AppTest, key: str) -> bool:
    return bool(app.button(key=key).disabled)


@pytest.mark.parametrize("role", ["look", "run", "own"])
def test_launching_takes_the_role_run(open_page: Open, prepared: Workspace, role: str) -> None:
    app = signed_in(open_page(prepared, "experiments", experiment="base"), role)
    assert off(app, "experiments_base_launch") is (role == "look")
    if role == "look":
        told = app.button(key="experiments_base_launch").help.replace("\\", "")
        assert told == "You may look here; this takes the role 'run'."


@pytest.mark.parametrize("role", ["look", "run", "own"])
def test_data_and_settings_take_the_role_own(open_page: Open, prepared: Workspace, role: str) -> None:
    app = signed_in(open_page(prepared, "settings"), role)
    assert app.toggle(key="settings_read_only").disabled is (role != "own")
    app = signed_in(open_page(prepared, "data", view="import"), role)
    sent = next(button for button in app.button if button.label == "Replace the data")
    assert sent.disabled is (role != "own")


def test_a_click_of_somebody_whose_role_was_taken_meanwhile_does_nothing(
    open_page: Open, prepared: Workspace
) -> None:
    app = signed_in(open_page(prepared, "experiments", experiment="base"), "run")
    app.user = {**app.user, **USERS["look"]}
    app.button(key="experiments_base_launch").click().run()
    assert not app.exception
    assert scan(prepared) == []


def test_a_setting_is_refused_in_words_before_its_page_is_drawn(open_page: Open, prepared: Workspace) -> None:
    app = signed_in(open_page(prepared, "settings"), "own")
    app.user = {**app.user, **USERS["run"]}
    app.toggle(key="settings_read_only").set_value(True).run()
    assert "cannot change the settings: that takes the role 'own'" in app.error[0].value.replace("\\", "")
    assert not read_only(prepared)


def test_runs_are_cancelled_and_resumed_by_who_may_run(open_page: Open, prepared: Workspace) -> None:
    change_machine(prepared, training_slots=0)
    waiting = counting_run(prepared, "unified", ticks=3, pause=0.0)
    (queued,) = (entry.record.run_id for entry in jobs.submit(prepared, waiting))
    failed = end_badly(prepared, "base", state="failed", error="It broke.")
    for role in ("look", "run"):
        app = signed_in(open_page(prepared, "runs", run=queued), role)
        assert off(app, "runs_cancel") is (role == "look")
        assert off(app, f"runs_drop_{queued}") is (role == "look")
        app = signed_in(open_page(prepared, "runs", run=failed), role)
        assert off(app, "runs_resume") is (role == "look")
        assert off(app, "runs_over") is (role == "look")


@pytest.mark.parametrize("role", ["look", "run"])
def test_trees_autopilot_report_and_playground(open_page: Open, full: Workspace, role: str) -> None:
    closed = role == "look"
    home = signed_in(open_page(full), role)
    assert off(home, "home_autopilot_start") is closed
    assert off(signed_in(open_page(full, "report"), role), "report_write") is closed
    playground = signed_in(open_page(full, "playground"), role)
    assert playground.chat_input[0].disabled is closed
