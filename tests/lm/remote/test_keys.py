"""Keys come from the environment or secrets.toml, and addresses carry none."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.secrecy import without_secrets
from engine.lm.remote.endpoint import Endpoint, check_address, read_endpoint
from engine.lm.remote.keys import NO_KEY, key_of, required_key

HOSTED = Endpoint("openai-compatible", "a-model")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", " from-the-environment ")
    assert key_of("anthropic") == "from-the-environment"
    assert key_of("openai-compatible") is None


def test_a_key_from_secrets_is_hidden_like_one_from_the_environment(tmp_path: Path) -> None:
    secrets = tmp_path / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text('OPENAI_API_KEY = "from-the-secrets"\n')
    assert required_key(HOSTED) == "from-the-secrets"
    assert "from-the-secrets" not in without_secrets("the key is from-the-secrets")


def test_a_torn_secrets_file_is_named(tmp_path: Path) -> None:
    secrets = tmp_path / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text('OPENAI_API_KEY = "half a sec')
    with pytest.raises(EngineError) as caught:
        key_of("openai-compatible")
    assert str(secrets) in caught.value.message
    assert "half a sec" not in str(caught.value)


def test_a_provider_needs_a_key_and_a_server_of_ones_own_does_not() -> None:
    with pytest.raises(EngineError, match="OPENAI_API_KEY is not set"):
        required_key(HOSTED)
    assert required_key(Endpoint("openai-compatible", "a-model", "http://localhost:8000/v1")) == NO_KEY


@pytest.mark.parametrize("good", [None, "http://localhost:8000/v1", "https://models.example/a/v1"])
def test_addresses(good: str | None) -> None:
    check_address(good)


@pytest.mark.parametrize(
    "bad",
    ["localhost:8000", "ftp://host/v1", "http://", "https://me:pa55@host/v1", "https://host/v1?key=pa55"],
)
def test_bad_addresses_are_refused_without_repeating_secrets(bad: str) -> None:
    with pytest.raises(EngineError) as caught:
        check_address(bad)
    assert "pa55" not in str(caught.value)


def test_an_endpoint_survives_a_recipe() -> None:
    endpoint = Endpoint("anthropic", "vendor/a model:1", None, None, 99)
    assert read_endpoint(endpoint.as_json()) == endpoint
    assert endpoint.short_name == "a-model:1"
    with pytest.raises(EngineError, match="no provider"):
        read_endpoint({"provider": "openia", "model": "x", "max_output_tokens": 1})
