"""Which key goes to which endpoint: the one that the owner's permit for its address names, and no other."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from engine.core import keyring
from engine.core.base_folder import local_base
from engine.core.errors import EngineError
from engine.core.permits import VARIABLE, Permit, is_private_name, make_permit, permit_for
from engine.lm.remote.endpoint import Endpoint, url_of

NO_KEY = "no-key"
"""What a server of one's own is sent, where a client insists on a key and none goes there."""


def required_key(endpoint: Endpoint) -> str:
    """Return the key to send. Raises EngineError where its address has no permit, or its key is not set.

    Asks no server: what a name stands for is looked at when the endpoint is asked (reach.py).
    """
    permit = required_permit(endpoint)
    if permit.key is None:
        return NO_KEY
    if urlsplit(endpoint.url).scheme == "http" and not permit.private:
        raise EngineError(
            f"{endpoint.host} would get {permit.key} over http, where everybody on the way can read it.",
            "Give the address with https://",
        )
    key = keyring.key_of(permit.key)
    if key is None:
        raise EngineError(
            f"{endpoint.host} needs a key, and {permit.key} is not set.",
            f"Set it in the environment, or in .streamlit/secrets.toml: {permit.key}",
        )
    return key


def required_permit(endpoint: Endpoint) -> Permit:
    """Return the permit of an endpoint's address. Raises EngineError where the owner has given none."""
    permit = permit_for(endpoint.url)
    if permit is not None:
        return permit
    wanted = make_permit(endpoint.url)
    where = "an address of this machine or its network" if is_private_name(wanted.host) else "an address"
    raise EngineError(
        f"{wanted.address} is {where} that the owner of this machine has not allowed: nothing is sent there, "
        "and no key.",
        f"The owner allows it: python -m engine keys allow {wanted.address} (--key NAME where a key goes "
        f"there), or by {VARIABLE}.",
    )


def asks(parameters: Mapping[str, Any]) -> bool:
    """Say whether a run of these parameters asks an endpoint."""
    return "provider" in parameters


def names_for(parameters: Mapping[str, Any], base: str, launcher: str) -> tuple[str, ...]:
    """Return the names of the keys that a run needs: its endpoint's, the hub's, Ray's."""
    names = list(names_for_base(base)) if not asks(parameters) else []
    if asks(parameters):
        try:
            permit = permit_for(url_of(parameters["provider"], parameters.get("base_url")))
        except EngineError:
            permit = None  # the run itself will say what is wrong
        names += [permit.key] if permit is not None and permit.key else []
    return (*names, *(keyring.CLUSTER if launcher == "ray" else ()))


def names_for_base(base: str) -> tuple[str, ...]:
    """Return the names of the keys that loading a base needs: none, where it lies on this machine."""
    try:
        return keyring.HUB if local_base(base) is None else ()
    except EngineError:
        return ()
