"""What kind of miss a reply is, held against the right one. Owns the kinds, their words and their order.

Where a domain judges what a reply does, its acts decide; elsewhere length does. Knows no subject.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from engine.core.scripts import words_of
from engine.domains.acts import findings

if TYPE_CHECKING:
    from engine.domains.domain import Domain

KINDS: Final[Mapping[str, str]] = {
    "empty": "Says nothing",
    "asks": "Asks instead of acts",
    "acts": "Acts instead of keeping still",
    "other": "Wrong value",
    "missing": "Missing action",
    "extra": "Extra action",
    "short": "Less than half as long",
    "long": "More than twice as long",
    "wording": "Only wording",
}
_SHORT, _LONG = 0.5, 2.0


def kind_of(domain: "Domain", reply: str, right: str) -> str:
    """Return the first of KINDS that fits; "" where both texts are the same."""
    if reply.strip() == right.strip():
        return ""
    if not reply.strip():
        return "empty"
    return _of_acts(domain, reply, right) if domain.judges else _of_length(reply, right)


def _of_acts(domain: "Domain", reply: str, right: str) -> str:
    said, held = domain.acts(reply), domain.acts(right)
    does, should = any(act.aspect for act in said), any(act.aspect for act in held)
    if should and not does:
        return "asks" if "?" in reply else "missing"
    if does and not should:
        return "acts"
    found = {one.kind for one in findings(said, held)}
    return next((kind for kind in ("other", "missing", "extra") if kind in found), "wording")


def _of_length(reply: str, right: str) -> str:
    longer = len(words_of(reply)) / max(1, len(words_of(right)))
    return "short" if longer < _SHORT else "long" if longer > _LONG else "wording"
