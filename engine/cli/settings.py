"""The commands of the Settings page: machine, doctor, rebuild-db, base, bench, keys."""

import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from engine.cli import bases
from engine.cli.frame import Call, Place, command, note, out, table
from engine.core import extensions, secrecy
from engine.core.errors import EngineError, unknown_name
from engine.core.keyring import key_of
from engine.core.machine import LAUNCHERS, change_machine, read_machine, read_only
from engine.core.paths import REPOSITORY, embedded_base, read_json
from engine.core.permits import Permit, allow, forget, kept_in, make_permit, permits
from engine.core.plain import in_terminal
from engine.runs import jobs, slots

_BENCH = REPOSITORY / "bench"


@command(
    "machine",
    examples=(
        "machine",
        "machine --training-slots 2",
        "machine --launcher ray --ray-address 10.0.0.1:6379 --ray-gpus 1",
        "machine --read-only",
        "machine --extension my_strategy.py",
        "machine --approve my_strategy.py",
    ),
)
@click.option("--training-slots", type=int, help="Runs at work at once on the processor; 0 pauses the queue.")
@click.option("--launcher", type=click.Choice(LAUNCHERS), help="Where runs are executed by default.")
@click.option("--ray-address", help="The Ray cluster: HOST:PORT, or auto.")
@click.option("--ray-cpus", type=float, help="Processors that each task asks for.")
@click.option("--ray-gpus", type=float, help="GPUs that each task asks for; by default 1 where there is one.")
@click.option("--ray-tasks", type=int, help="Into how many tasks a run is divided.")
@click.option("--ray-runs", type=int, help="Runs at work at once on the cluster.")
@click.option("--read-only/--no-read-only", default=None, help="Refuse whatever changes the workspace.")
@click.option("--extension", type=Place(), help="Name a Python file of your own code.")
@click.option("--approve", type=Place(), help="Let a named file run as it is. Read it first.")
@click.option("--sha256", default="", help="With --approve: only if the file is still this one.")
@click.option("--forget", type=Place(), help="Name a file no more.")
def machine(
    call: Call,
    *,
    extension: Path | None,
    approve: Path | None,
    sha256: str,
    forget: Path | None,
    **given: Any,
) -> int:
    """Show or change how this workspace uses its machine, and what code of your own it runs."""
    if extension is not None:
        extensions.name_file(call.ws, extension)
    if approve is not None:
        extensions.approve(call.ws, approve, sha256=sha256)
    if forget is not None:
        extensions.forget_file(call.ws, forget)
    wanted = {name: value for name, value in given.items() if value is not None}
    settings = change_machine(call.ws, **wanted) if wanted else read_machine(call.ws)
    devices = slots.in_use(settings, jobs.list_runs(call.ws))
    files = [
        {"path": str(one.path), "sha256": one.sha256, "state": one.state} for one in extensions.named(call.ws)
    ]
    value = {**asdict(settings), "read_only": read_only(call.ws), "devices": devices, "extensions": files}

    def show() -> None:
        shown = table("setting", "value")
        for name, setting in value.items():
            if name == "extensions":
                continue
            words = ", ".join(setting) if isinstance(setting, list) else str(setting)
            shown.add_row(name.replace("_", " "), Text("-" if setting in (None, "") else words))
        out().print(shown)
        for one in files:
            out().print(Text(f"{one['path']}: {one['state']}, sha256 {one['sha256'] or '-'}"))
        for left in extensions.waiting(call.ws):
            note(str(left.refusal()))

    call.answer(value, show)
    if wanted:
        jobs.advance(call.ws)  # a slot may have been added
    return 0


@command("doctor", examples=("doctor --workspace W", "doctor --fix", "doctor --json"), anywhere=True)
@click.option("--fix", is_flag=True, help="Mend what loses nothing.")
def doctor(call: Call, *, fix: bool) -> int:
    """Look for what is broken or missing in a workspace, and say what to do; exit code 1 when there is."""
    from engine.show.doctor import examine

    checks = examine(call.ws, fix=fix, base=True)
    healthy = all(check.ok for check in checks)

    def show() -> None:
        shown = table("", "check", "found")
        for check in checks:
            mark = Text("ok", style="green") if check.ok else Text("!!", style="bold red")
            shown.add_row(mark, Text(check.name), Text(f"{check.detail} {check.hint}".strip()))
        out().print(shown)

    call.answer({"ok": healthy, "checks": [asdict(check) for check in checks]}, show)
    return 0 if healthy else 1


@command("rebuild-db", examples=("rebuild-db", "rebuild-db --workspace W --json"))
def rebuild_db(call: Call) -> int:
    """Build results.duckdb anew from the run folders, and report what was found."""
    from engine.results.store import rebuild

    report = rebuild(call.ws)

    def show_report() -> None:
        out().print(f"results.duckdb holds {len(report.taken_in)} runs.")
        for torn in report.torn:
            out().print(Text(f"Left out: {torn.run_id}: {torn.reason}", style="red"))

    call.answer(asdict(report), show_report)
    return 1 if report.torn else 0


@click.group("base")
def base() -> None:
    """Base models: look at one, change the workspace's, the card of the embedded one."""


@command("card", examples=("base card", "base card --json"), anywhere=True)
def card(call: Call) -> int:
    """Print the card of the embedded base model: recipe, losses, how well it copies."""
    folder = embedded_base()
    if not (folder / "README.md").exists():
        raise EngineError("The embedded base model is not built.", "Build it: python -m tools build-base")
    facts = folder / "build.json"
    value = read_json(facts) if facts.exists() else {}
    return call.answer(
        value, lambda: click.echo(in_terminal((folder / "README.md").read_text(encoding="utf-8")))
    )


@command("bench", examples=("bench train", "bench eval --base 0.5b --json"), anywhere=True)
@click.argument("name")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def bench(call: Call, *, name: str, options: tuple[str, ...]) -> int:
    """Run one benchmark: train, eval, score, merge, or another script of bench/.

    Further OPTIONS are the script's own. Every benchmark brings its own data; --workspace, where a script has
    it, says where to keep that.
    """
    known = sorted(path.stem for path in _BENCH.glob("*.py") if "def main" in path.read_text("utf-8"))
    if name not in known:
        raise unknown_name("benchmark", name, known)
    source = click.get_current_context().get_parameter_source("workspace")
    kept = ["--workspace", str(call.ws.root)] if source is click.core.ParameterSource.COMMANDLINE else []
    given = [*options, *kept, *(["--json"] if call.as_json else [])]
    words = [sys.executable, str(_BENCH / f"{name}.py"), *given]
    return subprocess.run(words, check=False, env=secrecy.environment()).returncode


bench.context_settings = {"ignore_unknown_options": True}

for _one in (card, bases.probe, bases.use):
    base.add_command(_one)


@command(
    "keys",
    examples=(
        "keys",
        "keys allow localhost:8000",
        "keys allow https://models.example.org --key MODELS_API_KEY",
        "keys allow https://models.lan --private --key MODELS_API_KEY",
        "keys forget localhost:8000",
    ),
    anywhere=True,
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
    return call.answer({"addresses": value, "kept_in": str(kept_in())}, lambda: _show(found))


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
