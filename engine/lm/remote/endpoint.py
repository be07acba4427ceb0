"""Which remote model answers, and how it is asked: the part of a recipe that stands in an adapter's place.

Holds no key and refuses addresses that carry one: recipes and specs are written to disk.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from engine.core.errors import EngineError, unknown_name
from engine.core.forms import record
from engine.core.permits import split_address

Provider = Literal["openai-compatible", "anthropic"]
_DEFAULT_URLS: Mapping[Provider, str] = {
    "openai-compatible": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model at an address. `base_url` None is the provider's own; `temperature` None leaves it to it."""

    provider: Provider
    model: str
    base_url: str | None = None
    temperature: float | None = 0.0
    max_output_tokens: int = 64

    @property
    def url(self) -> str:
        """The address, always said: no variable of the environment changes a client's default unseen."""
        return url_of(self.provider, self.base_url)

    @property
    def host(self) -> str:
        """The address without its path, for people."""
        return urlsplit(self.url).netloc

    @property
    def short_name(self) -> str:
        """The model's name without a path before it, fit for a variant's name."""
        return re.sub(r"[^\w.:-]+", "-", self.model.rstrip("/").rsplit("/", 1)[-1]).strip("-")


def read_endpoint(value: Mapping[str, Any]) -> Endpoint:
    """Return the endpoint written as JSON in a recipe. Raises EngineError for an unknown provider."""
    _usual_url(str(value.get("provider")))
    try:
        return record(Endpoint, json.dumps(value))
    except (ValueError, TypeError) as error:
        raise EngineError(f"This endpoint cannot be read: {error}.", "Choose another variant.") from error


def check_address(base_url: str | None) -> None:
    """Raise EngineError for what is no plain http address, or one with a password, a query or a fragment."""
    if base_url is not None:
        split_address(base_url)


def url_of(provider: str, base_url: str | None) -> str:
    """Return the address that is asked: the given one, else the provider's own."""
    usual = _usual_url(provider)
    return base_url or usual


def _usual_url(provider: str) -> str:
    if provider not in get_args(Provider):
        raise unknown_name("provider", provider, get_args(Provider))
    return _DEFAULT_URLS[cast(Provider, provider)]


@dataclass(frozen=True, slots=True)
class Said:
    """What a remote model said, the tokens it was charged for, and why it ended ("stop", "length", ...).

    `taken_from` is the run that paid for it, "" for the run it is kept in.
    """

    text: str
    prompt_tokens: int
    reply_tokens: int
    seconds: float
    ended_by: str = "stop"
    taken_from: str = ""
