"""Who may do what: look, run (launch, cancel, ask, vote) or own (data, settings). Owns the refusal in words.

Whoever has this account is its owner, so commands and runs ask nobody. An app that signs people in says who
is at it now (`told_by`); each role includes those before it.
"""

from collections.abc import Callable
from typing import Literal, get_args

from engine.core.errors import EngineError

Role = Literal["look", "run", "own"]
ROLES: tuple[Role, ...] = get_args(Role)
_MAY: dict[Role | None, str] = {
    None: "Nobody has signed in",
    "look": "You may look here",
    "run": "You may look and run here",
    "own": "You own this",
}
_who: Callable[[], Role | None] = lambda: "own"  # noqa: E731 - one of several that may stand here


def told_by(who: Callable[[], Role | None]) -> None:
    """From now on, let `who` say which role is at work in this process; None: none at all."""
    global _who
    _who = who


def role() -> Role | None:
    """Return the role of who is at work now."""
    return _who()


def may(least: Role) -> bool:
    """Say whether who is at work now has this role, or one that includes it."""
    mine = role()
    return mine is not None and ROLES.index(mine) >= ROLES.index(least)


def obstacle(least: Role) -> str:
    """Return why who is at work now may not do what takes this role; "" where it may."""
    return "" if may(least) else f"{_MAY[role()]}; this takes the role {least!r}."


def refuse_unless(least: Role, doing: str) -> None:
    """Raise EngineError where who is at work now lacks this role; `doing` completes "cannot ..."."""
    if not may(least):
        raise EngineError(
            f"{_MAY[role()]}, and cannot {doing}: that takes the role {least!r}.",
            "Whoever runs this app gives roles: [roles] in its .streamlit/secrets.toml.",
        )
