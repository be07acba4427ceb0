"""What an endpoint's refusals mean, and what to do next, in words that hold no key.

Knows the clients' errors by what they carry (`status_code`, `message`), so that no client is imported here.
"""

import re
from urllib.parse import urlsplit

from engine.core.errors import EngineError
from engine.core.permits import permit_for
from engine.core.secrecy import HIDDEN, without_secrets
from engine.lm.remote.endpoint import Endpoint
from engine.lm.remote.keys import NO_KEY

_LONGEST = 300
_PREFIX = re.compile(r"^Error code: \d+ - ")
_GO_ON = "then resume the run: the replies it has are kept"


def worded(error: Exception, endpoint: Endpoint, key: str) -> EngineError:
    """Return the error to show for what a client raised."""
    status = getattr(error, "status_code", None)
    if status is None:
        return _unreached(error, endpoint, key)
    if 300 <= status < 400:
        return _redirected(error, endpoint, key)
    said = _said(error, key)
    if status in (401, 403):
        permit = permit_for(endpoint.url)
        name = permit.key if permit is not None and permit.key else "the key of this address"
        return EngineError(
            f"{endpoint.host} refuses the key ({status}): {said}",
            f"Set {name} to a key that may use {endpoint.model}, {_GO_ON}.",
        )
    if status == 404:
        return EngineError(
            f"{endpoint.url} has no model {endpoint.model!r} (404): {said}",
            "Check model and base_url; the path of an OpenAI-compatible address is often /v1.",
        )
    if status == 429:
        return EngineError(
            f"{endpoint.host} still refuses more requests (429), after all retries: {said}",
            f"Wait, or check the account's quota, {_GO_ON}. For a slower pace: requests_per_minute.",
        )
    if status >= 500:
        return EngineError(f"{endpoint.host} fails ({status}): {said}", f"Wait until it is well, {_GO_ON}.")
    return EngineError(f"{endpoint.host} refuses the request ({status}): {said}", _remedy(said))


def _redirected(error: Exception, endpoint: Endpoint, key: str) -> EngineError:
    """A redirect is never followed: it could lead the dialogues, and the key, anywhere."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    target = urlsplit(str(headers.get("location", "")))
    where = f" to {target.hostname}" if target.hostname else ""
    return EngineError(
        hidden(f"{endpoint.host} redirects{where}, and redirects are not followed.", key),
        f"If that is the right place, give its address as base_url, {_GO_ON}.",
    )


def _unreached(error: Exception, endpoint: Endpoint, key: str) -> EngineError:
    if "Timeout" in type(error).__name__:
        return EngineError(
            f"{endpoint.host} did not answer in time.",
            f"Give it longer (timeout_seconds), or wait, {_GO_ON}.",
        )
    return EngineError(
        f"{endpoint.url} cannot be reached: {_said(error.__cause__ or error, key)}",
        f"Start the server, or check base_url and the network, {_GO_ON}.",
    )


def _remedy(said: str) -> str:
    if "temperature" in said:
        return "This model takes no temperature: leave it to the provider with --set temperature=null."
    if "max_tokens" in said or "max_completion_tokens" in said:
        return "Check max_output_tokens against what the model allows."
    return "Check model, memories and max_output_tokens against what the endpoint allows."


def _said(error: BaseException, key: str) -> str:
    """The endpoint's own words on one line, without the key that it may repeat."""
    text = " ".join(str(getattr(error, "message", "") or error or type(error).__name__).split())
    return hidden(_PREFIX.sub("", text), key)[:_LONGEST]


def hidden(text: str, key: str) -> str:
    """Return an endpoint's words without the key that they may repeat."""
    return without_secrets(text if key == NO_KEY else text.replace(key, HIDDEN))
