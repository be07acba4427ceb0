"""The owner's list of addresses: who writes it, how it is read, and that nothing else adds to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli import cli, main
from engine.core.errors import EngineError
from engine.core.permits import VENDORS, Permit, allow, forget, kept_in, make_permit, permit_for, permits


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PERSONA_LAB_ENDPOINTS", raising=False)


def test_from_the_start_only_the_vendors_own_addresses_are_asked() -> None:
    assert permits() == list(VENDORS)
    assert permit_for("https://api.openai.com/v1") == Permit("api.openai.com", 443, "OPENAI_API_KEY")


def test_what_is_allowed_is_kept_for_this_account_and_can_be_taken_back() -> None:
    allow(make_permit("localhost:8000"))
    allow(make_permit("https://models.example/v1", key="MODELS_API_KEY"))
    assert permit_for("http://LOCALHOST:8000/v1") == Permit("localhost", 8000, None, private=True)
    assert permit_for("https://models.example") == Permit("models.example", 443, "MODELS_API_KEY")
    assert permit_for("https://models.example:444") is None
    assert forget("localhost:8000").private
    assert permit_for("http://localhost:8000") is None
    with pytest.raises(EngineError, match="No permit is kept"):
        forget("localhost:8000")


def test_the_owner_may_bind_another_key_to_a_vendor() -> None:
    allow(make_permit("api.openai.com", key="OUR_API_KEY"))
    assert [one.key for one in permits() if one.host == "api.openai.com"] == ["OUR_API_KEY"]


def test_the_environment_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "http://localhost:8000, models.lan:8443+private=MODELS_API_KEY [::1]:9000"
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", told)
    assert permits()[:3] == [
        Permit("localhost", 8000, None, private=True),
        Permit("models.lan", 8443, "MODELS_API_KEY", private=True),
        Permit("::1", 9000, None, private=True),
    ]


@pytest.mark.parametrize("told", ["host=lower", "ftp://host", "me@host", "host/?a", "=KEY", "a+b"])
def test_a_mistake_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", told)
    with pytest.raises(EngineError, match="PERSONA_LAB_ENDPOINTS cannot be read"):
        permits()


@pytest.mark.parametrize(
    "content",
    ["", "[", "{}", "[1]", '[{"host": "a"}]', '[{"host": "A B", "port": 1, "key": null, "private": false}]'],
)
def test_a_torn_list_is_named_and_allows_nothing(content: str) -> None:
    kept_in().parent.mkdir(parents=True)
    kept_in().write_text(content)
    with pytest.raises(EngineError) as caught:
        permits()
    assert str(kept_in()) in str(caught.value)


def test_a_key_given_in_the_place_of_its_name_is_neither_taken_nor_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["keys", "allow", "models.example", "--key", "sk-abc-secret"]) == 1
    assert "sk-abc" not in "".join(capsys.readouterr())
    assert not kept_in().exists()


def test_the_command_shows_allows_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_API_KEY", "sk-a-planted-key")
    runner = CliRunner()
    told = runner.invoke(cli, ["keys", "allow", "127.0.0.1:8000", "--key", "MODELS_API_KEY", "--json"])
    assert told.exit_code == 0
    assert "sk-a-planted" not in told.output
    assert json.loads(told.stdout)["addresses"][0] == {
        "address": "127.0.0.1:8000",
        "key": "MODELS_API_KEY",
        "present": True,
        "private": True,
    }
    assert "sk-a-planted" not in kept_in().read_text()
    assert kept_in().parent.stat().st_mode & 0o077 == 0
    told = runner.invoke(cli, ["keys", "forget", "127.0.0.1:8000"])
    assert "api.openai.com" in told.stdout
    assert "8000" not in told.stdout
