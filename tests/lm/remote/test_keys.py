"""A key goes to the address that the owner has bound it to, and no other address is asked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.keyring import key_of
from engine.core.secrecy import without_secrets
from engine.lm.remote.endpoint import Endpoint, check_address, read_endpoint
from engine.lm.remote.keys import NO_KEY, names_for, required_key

HOSTED = Endpoint("openai-compatible", "a-model")
KEY = "sk-a-planted-key"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PERSONA_LAB_ENDPOINTS", raising=False)
    monkeypatch.chdir(tmp_path)


def at(url: str | None, provider: str = "openai-compatible") -> Endpoint:
    return read_endpoint({"provider": provider, "model": "m", "base_url": url, "max_output_tokens": 1})


def refusal(endpoint: Endpoint) -> str:
    with pytest.raises(EngineError) as caught:
        required_key(endpoint)
    assert KEY not in str(caught.value)
    return str(caught.value)


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", " from-the-environment ")
    assert key_of("ANTHROPIC_API_KEY") == "from-the-environment"
    assert key_of("OPENAI_API_KEY") is None


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
        key_of("OPENAI_API_KEY")
    assert str(secrets) in caught.value.message
    assert "half a sec" not in str(caught.value)


def test_a_provider_needs_a_key_and_a_server_of_ones_own_needs_the_owners_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "OPENAI_API_KEY is not set" in refusal(HOSTED)
    own = at("http://localhost:8000/v1")
    assert "keys allow localhost:8000" in refusal(own)
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", "localhost:8000")
    assert required_key(own) == NO_KEY


@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic"])
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1",
        "https://api.openai.com.evil.example/v1",
        "https://api.openai.com:8443/v1",
        "http://api.openai.com/v1",
        "https://xapi.openai.com/v1",
        "https://openai.com/v1",
        "http://127.0.0.1:8000/v1",
        "http://localhost/v1",
        "http://[::1]:8000/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://2130706433/v1",
        "http://0177.0.0.1/v1",
        "http://0x7f.1/v1",
        "http://127.1/v1",
        "http://169.254.169.254/latest",
        "https://10.0.0.8/v1",
    ],
)
def test_no_key_goes_where_the_owner_has_not_bound_it(
    monkeypatch: pytest.MonkeyPatch, url: str, provider: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert "the owner of this machine has not allowed" in refusal(at(url, provider))


@pytest.mark.parametrize(
    "url", [None, "https://api.openai.com/v1", "https://API.OpenAI.com./v1", "https://api.openai.com:443/v1"]
)
def test_a_vendors_key_goes_to_the_vendor_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-planted-key")
    assert required_key(at(url)) == KEY
    assert required_key(at("https://api.anthropic.com", "openai-compatible")) == "another-planted-key"


def test_a_key_goes_over_http_only_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_API_KEY", KEY)
    monkeypatch.setenv(
        "PERSONA_LAB_ENDPOINTS",
        "http://models.example=MODELS_API_KEY http://models.lan+private=MODELS_API_KEY",
    )
    assert "everybody on the way can read it" in refusal(at("http://models.example/v1"))
    assert required_key(at("http://models.lan/v1")) == KEY


@pytest.mark.parametrize("good", [None, "http://localhost:8000/v1", "https://models.example/a/v1"])
def test_addresses(good: str | None) -> None:
    check_address(good)


@pytest.mark.parametrize(
    "bad",
    [
        "localhost:8000",
        "ftp://host/v1",
        "http://",
        "https://me:pa55@host/v1",
        "https://host/v1?key=pa55",
        "https://api.openai.com\\.evil.example/v1",
        "https://api.openai.com\t.evil.example/v1",
        "https://api.openai.com%2eevil.example/v1",
        "https://evil.example\\@api.openai.com/v1",
        "https://api.openаi.com/v1",
        "https://[::1%25eth0]/v1",
        "https://host:99999/v1",
        "https://api..openai.com/v1",
    ],
)
def test_bad_addresses_are_refused_without_repeating_secrets(bad: str) -> None:
    with pytest.raises(EngineError) as caught:
        check_address(bad)
    assert "pa55" not in str(caught.value)


def test_an_endpoint_survives_a_recipe() -> None:
    endpoint = Endpoint("anthropic", "vendor/a model:1", None, None, 99)
    assert read_endpoint(asdict(endpoint)) == endpoint
    assert endpoint.short_name == "a-model:1"
    with pytest.raises(EngineError, match="no provider"):
        read_endpoint({"provider": "openia", "model": "x", "max_output_tokens": 1})


@pytest.mark.parametrize(
    ("parameters", "base", "launcher", "names"),
    [
        ({"provider": "anthropic"}, "some/hub-model", "local", ("ANTHROPIC_API_KEY",)),
        ({"provider": "openai-compatible", "base_url": "https://evil.example"}, "embedded", "local", ()),
        ({"provider": "nobody"}, "embedded", "local", ()),
        ({"rank": 8}, "embedded", "local", ()),
        ({"rank": 8}, "some/hub-model", "local", ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")),
        ({"rank": 8}, "embedded", "ray", ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")),
    ],
)
def test_a_run_needs_the_one_key_of_its_endpoint(
    parameters: dict[str, str], base: str, launcher: str, names: tuple[str, ...]
) -> None:
    assert names_for(parameters, base, launcher) == names
