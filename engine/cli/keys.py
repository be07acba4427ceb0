"""The command that says which addresses may be asked, and which key goes where: keys."""

from __future__ import annotations

import socket

import click
from rich.text import Text

from engine.cli.frame import Call, command, note, out, table
from engine.core.errors import EngineError
from engine.core.keyring import key_of
from engine.core.permits import Permit, allow, forget, kept_in, make_permit, permits


@command(
    "keys",
    examples=(
        "keys",
        "keys allow localhost:8000",
        "keys allow https://models.example.org --key MODELS_API_KEY",
        "keys allow https://models.lan --private --key MODELS_API_KEY",
        "keys forget localhost:8000",
    ),
)
@click.argument("action", required=False, type=click.Choice(["allow", "forget"]))
@click.argument("address", required=False)
@click.option("--key", metavar="NAME", help="The variable that holds the key sent there; by default none.")
@click.option("--private", is_flag=True, help="The name may stand for an address of this machine or network.")
def keys(call: Call, *, action: str | None, address: str | None, key: str | None, private: bool) -> int:
    """Show which addresses remote models may be asked at, and which key goes there; or allow another one.

    It holds for all workspaces of this account. A key itself stays in the environment, or in secrets.toml.
    """
    if action is None and (key or private):
        raise EngineError("Which address?", "Example: keys allow https://models.example.org --key NAME")
    if action is not None:
        if address is None:
            raise EngineError("Which address?", f"Example: keys {action} localhost:8000")
        if action == "allow":
            permit = make_permit(address, key=key, private=private)
            allow(permit)
            _remark(permit)
        else:
            forget(address)
    found = permits()
    value = [
        {
            "address": one.address,
            "key": one.key,
            "present": one.key is not None and key_of(one.key) is not None,
            "private": one.private,
        }
        for one in found
    ]
    call.answer({"addresses": value, "kept_in": str(kept_in())}, lambda: _show(found))
    return 0


def _show(found: list[Permit]) -> None:
    shown = table("address", "key", "set", "may lie in this network")
    for one in found:
        there = "-" if one.key is None else "yes" if key_of(one.key) else "no"
        shown.add_row(one.address, one.key or "none", there, "yes" if one.private else "no")
    out().print(shown)
    out().print(Text(f"No other address is asked. Kept in {kept_in()}", style="dim"))


def _remark(permit: Permit) -> None:
    """Say now what would otherwise be refused only when the endpoint is asked."""
    if permit.key is not None and key_of(permit.key) is None:
        note(f"{permit.key} is not set here. Set it in the environment of whoever launches runs.")
    try:
        socket.getaddrinfo(permit.host, permit.port)
    except (OSError, UnicodeError):
        note(f"{permit.host} cannot be looked up from here now.")


COMMANDS = (keys,)
