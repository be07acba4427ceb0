"""Which addresses this machine's owner lets runs ask, and which key goes there: one list, the owner's.

A vendor's own address has a permit from the start. Every other one is named by whoever owns this account:
in $PERSONA_LAB_ENDPOINTS, or by `python -m engine keys allow`, which keeps it beside the account's other
settings. Neither a workspace nor a spec, an upload or a page can add to it. Holds names of keys, never a key.
"""

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from engine.core.errors import EngineError
from engine.core.paths import TornFile, read_record, user_folder, write_json

VARIABLE = "PERSONA_LAB_ENDPOINTS"
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_KEY = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
_ENTRY = re.compile(r"(?P<address>[^+=]+)(?P<private>\+private)?(=(?P<key>.*))?")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Permit:
    """A host and port that may be asked. `key` names the variable whose value goes there, None for none.

    `private`: it may lie on this machine or in its network.
    """

    host: str
    port: int
    key: str | None = None
    private: bool = False

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https"] else f"{host}:{self.port}"


VENDORS = (
    Permit("api.openai.com", 443, "OPENAI_API_KEY"),
    Permit("api.anthropic.com", 443, "ANTHROPIC_API_KEY"),
)


def permits() -> list[Permit]:
    """Return all permits, one a host and port: the environment's, then the kept ones, then the vendors'."""
    found: dict[tuple[str, int], Permit] = {}
    for one in (*_told(), *_kept(), *VENDORS):
        found.setdefault((one.host, one.port), one)
    return list(found.values())


def permit_for(url: str) -> Permit | None:
    """Return the permit of an http address, None without one. Raises EngineError for what is no address."""
    parts = split_address(url)
    where = host_of(parts), port_of(parts)
    return next((one for one in permits() if (one.host, one.port) == where), None)


def make_permit(address: str, *, key: str | None = None, private: bool = False) -> Permit:
    """Return the permit for HOST, HOST:PORT or an http(s) address, whose path plays no part.

    A name or number of this machine or its network is private by itself. Raises EngineError for what is no
    address, and for what is no variable's name (without repeating it: it may be a key).
    """
    parts = split_address(address if "://" in address else f"https://{address}")
    if key is not None and not _KEY.fullmatch(key):
        raise EngineError(
            "A key is named by its variable, in capitals.",
            "Such as: OPENAI_API_KEY. Its value stays in the environment, or in secrets.toml.",
        )
    host = host_of(parts)
    return Permit(host, port_of(parts), key, private or is_private_name(host))


def allow(permit: Permit) -> None:
    """Keep a permit, in the place of an earlier one of its host and port."""
    others = [one for one in _kept() if (one.host, one.port) != (permit.host, permit.port)]
    _keep([*others, permit])


def forget(address: str) -> Permit:
    """Take a kept permit back and return it. Raises EngineError where there is none."""
    wanted, kept = make_permit(address), _kept()
    found = next((one for one in kept if (one.host, one.port) == (wanted.host, wanted.port)), None)
    if found is None:
        raise EngineError(
            f"No permit is kept for {wanted.address}.",
            f"See: python -m engine keys. What {VARIABLE} says is changed there.",
        )
    _keep(one for one in kept if one != found)
    return found


def kept_in() -> Path:
    """The file of kept permits: the account's, outside of every workspace."""
    return user_folder("config") / "endpoints.json"


# --- addresses


def split_address(url: str) -> SplitResult:
    """Return the parts of a plain http or https address; no two readers may take it for different hosts.

    Raises EngineError for anything else, and without repeating it where it may hold a secret.
    """
    if any(sign in url for sign in "@?#"):
        raise EngineError(
            "The address of the endpoint carries a name, a password or a query, and specs are kept on disk.",
            "Give the bare address; the key belongs into the environment.",
        )
    try:
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and not set(url) & set(' \\"<>^`{|}')
        is_address = plain and parts.scheme in _PORTS and parts.port != 0 and _is_host(parts)
    except ValueError:
        is_address = False
    if not is_address:
        raise EngineError(
            f"{url!r} is no address of an endpoint.",
            "Such as: --set base_url=http://localhost:8000/v1 (names with other letters: as xn--...)",
        )
    return parts


def host_of(parts: SplitResult) -> str:
    """The host in the one form in which hosts are compared."""
    host = (parts.hostname or "").rstrip(".")
    return ipaddress.ip_address(host).compressed if ":" in host else host


def port_of(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def is_private(address: Address) -> bool:
    """Say whether an address is not one of the open internet, whatever form it is wrapped in."""
    inner = _wrapped(address)
    if inner is not None:
        return is_private(inner)
    return not address.is_global or address.is_multicast or address.is_unspecified


def is_private_name(host: str) -> bool:
    """Say whether a host says itself that it is of this machine or its network; asks no server."""
    try:
        return is_private(ipaddress.ip_address(host))
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _wrapped(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if parts.netloc.startswith("["):
        return "%" not in host and bool(ipaddress.IPv6Address(host))
    return bool(_HOST.fullmatch(host))


# --- where permits are written


def _told() -> list[Permit]:
    """Those of the environment: ADDRESS[+private][=KEY], separated by blanks or commas."""
    found = []
    for word in os.environ.get(VARIABLE, "").replace(",", " ").split():
        entry = _ENTRY.fullmatch(word)
        try:
            if entry is None:
                raise EngineError("It is no ADDRESS[+private][=KEY].")
            found.append(
                make_permit(entry["address"], key=entry["key"], private=entry["private"] is not None)
            )
        except EngineError as error:
            raise EngineError(
                f"{VARIABLE} cannot be read: {error.message}",
                f"Such as: {VARIABLE}='http://localhost:8000 https://models.example.org=MODELS_API_KEY'",
            ) from error
    return found


def _kept() -> list[Permit]:
    path, mend = kept_in(), "Mend it, or delete it and allow anew."
    try:
        found = read_record(path, list[Permit], hint=mend)
    except FileNotFoundError:
        return []
    if not all(map(_is_sound, found)):
        raise TornFile(path, "holds what is no permit.", mend)
    return found


def _is_sound(permit: Permit) -> bool:
    try:
        return make_permit(f"https://{permit.address}", key=permit.key, private=permit.private) == permit
    except EngineError:
        return False


def _keep(found: Iterable[Permit]) -> None:
    path = kept_in()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(path, [asdict(one) for one in found])
