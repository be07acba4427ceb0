"""An attack on keys: what each attempt to get one, or to send something where it may not go, gets now.

    .venv/bin/python bench/attack_keys.py               one line an attack; fails where one gets anything
    .venv/bin/python bench/attack_keys.py --json

Real servers on this machine play the stranger, the redirector and the vendor. Keys are planted in the
environment; they are looked for in what the servers were sent, in the command lines and environments of all
processes of the workspace, and in every byte that the runs leave. Needs no network.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.permits import VARIABLE, allow, kept_in, make_permit
from engine.data import prepare
from engine.results.store import refresh
from engine.results.study import autopilot
from engine.runs import jobs, standby
from engine.runs.processes import end_group
from engine.runs.records import find, scan
from engine.serve import client
from engine.show.report import making
from engine.strategies.plan import Plan, plan
from tests.lm.remote import endpoints

MARK = "planted-4711"
PLANTED = {
    "OPENAI_API_KEY": f"sk-{MARK}-openai",
    "ANTHROPIC_API_KEY": f"sk-{MARK}-anthropic",
    "HF_TOKEN": f"hf-{MARK}-hub",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}-aws",
    "GITHUB_TOKEN": f"{MARK}-github",
    "PGPASSWORD": f"{MARK}-postgres",
}
SETTINGS = {"examples_per_persona": 1, "max_new_tokens": 8, "requests_per_minute": 100_000, "retries": 0}
ADDRESSES = (
    "https://evil.example/v1",
    "https://api.openai.com.evil.example/v1",
    "https://evil-api.openai.com/v1",
    "https://api.openai.com:8443/v1",
    "http://api.openai.com/v1",
    "https://user:pass@api.openai.com/v1",
    "https://evil.example\\@api.openai.com/v1",
    "https://api.openаi.com/v1",
    "https://api.openai.com%2eevil.example/v1",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]:PORT/v1",
    "http://[::ffff:127.0.0.1]:PORT/v1",
    "http://127.0.0.1:PORT/v1",
    "http://localhost:PORT/v1",
    "http://2130706433:PORT/v1",
    "http://0177.0.0.1:PORT/v1",
    "http://0x7f000001:PORT/v1",
    "http://127.1:PORT/v1",
)
_PATIENCE_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Result:
    """One attack: what was tried, what it was told, and whether it got anything."""

    attack: str
    told: str
    got: bool


class Attack:
    """A workspace, a stranger's server and a redirector, and what they have been sent."""

    def __init__(self, ws: Workspace, stack: ExitStack) -> None:
        self.ws = ws
        self.stranger = stack.enter_context(endpoints.serving())
        self.own = stack.enter_context(endpoints.serving())
        self.shown: dict[str, str] = {}

    def run(
        self,
        name: str,
        url: str,
        *,
        permits: str = "",
        provider: str = "openai-compatible",
        by_hand: bool = False,
    ) -> Result:
        """Launch a run that names an address, wait for its end, and see what anybody was sent."""
        before = len(self.stranger.requests)
        url = url.replace("PORT", self.stranger.url.rpartition(":")[2])
        kept_in().unlink(missing_ok=True)
        if permits:
            allow(make_permit(permits, key="OPENAI_API_KEY"))
        asked = {**SETTINGS, "model": "m", "base_url": url, "provider": provider}
        try:
            planned = plan(self.ws, "frontier", asked, seed=len(self.shown) + len(scan(self.ws)))
            told = self.finish(
                Plan(planned.experiment, (planned.target,), obstacle=None if by_hand else planned.obstacle)
            )
        except EngineError as error:
            told = error.message
        return Result(name, told.splitlines()[0], len(self.stranger.requests) > before)

    def finish(self, planned: Plan) -> str:
        """Queue a run, look at all processes while it is at work, and return how it ended."""
        run_id = jobs.submit(self.ws, planned)[-1].record.run_id
        until = time.monotonic() + _PATIENCE_SECONDS
        while not (record := find(self.ws, run_id)).ended and time.monotonic() < until:
            self.look()
            time.sleep(0.02)
        return record.error or record.state

    def look(self) -> None:
        """Keep what the list of processes shows of those that name the workspace."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace")
                    if str(self.ws.root) in words:
                        self.shown[f"{entry.name} {words[:200]}"] = words + (
                            entry / "environ"
                        ).read_bytes().decode(errors="replace")
                except OSError:
                    continue


def attacks(one: Attack) -> Iterator[Result]:
    """Try everything, cheapest first."""
    for address in ADDRESSES:
        yield one.run(f"a spec with base_url {address}", address)
    yield one.run("a spec that was written by hand, past the plan", one.stranger.openai, by_hand=True)
    own = one.own.url.replace("http://", "")
    for provider in ("openai-compatible", "anthropic"):
        for place in (f"{one.stranger.url}/v1", f"{one.own.url}/other"):
            one.own.moved_to = place
            where = "another server" if one.stranger.url in place else "itself"
            name = f"an allowed server redirects {provider} to {where}"
            yield one.run(name, f"{one.own.url}/v1", permits=own, provider=provider)
    one.own.moved_to = ""
    port = one.stranger.url.rpartition(":")[2]
    name = "an allowed name stands for an inner address"
    host = os.uname().nodename
    yield one.run(name, f"https://{host}:{port}/v1", permits=f"https://{host}:{port}")
    one.own.always = (401, {"error": {"message": f"bad key {PLANTED['OPENAI_API_KEY']}"}})
    told = one.run("an allowed server repeats the key in its refusal", one.own.openai, permits=own)
    yield Result(told.attack, told.told, MARK in told.told)
    one.own.always = (200, endpoints.answer_of(f"I was sent {PLANTED['OPENAI_API_KEY']}"))
    yield one.run(
        "an allowed server repeats the key in its replies (looked for below)",
        one.own.openai,
        permits=own,
    )
    one.own.always = None
    one.own.slow_seconds = 0.1
    told = one.run("an honest run, with its key", one.own.openai, permits=own)
    sent = {header.get("authorization") for header in one.own.headers} - {
        f"Bearer {PLANTED['OPENAI_API_KEY']}"
    }
    yield Result(
        told.attack, f"{told.told}; its server got the one key", bool(sent) or told.told != "succeeded"
    )
    yield from aftermath(one)


def aftermath(one: Attack) -> Iterator[Result]:
    """Look for the planted keys in what was shown and in what was left."""
    autopilot.start(one.ws, "quick-wins")
    until = time.monotonic() + 20
    while time.monotonic() < until and not any("walking" in name for name in one.shown):
        one.look()
    one.look()
    autopilot.stop(one.ws)
    refresh(one.ws)
    making.make(one.ws)
    names = [name for name, text in one.shown.items() if MARK in text]
    yield Result(
        "planted keys in command lines and environments",
        f"none in {len(one.shown)} processes" if not names else f"in: {names[0]}",
        bool(names),
    )
    files = [path for path in one.ws.root.rglob("*") if path.is_file()]
    held = [path for path in files if MARK.encode() in path.read_bytes()]
    size = sum(path.stat().st_size for path in files) / 1e6
    yield Result(
        "planted keys in what the runs and the report left",
        f"none in {len(files)} files, {size:.1f} MB" if not held else f"in: {held[0]}",
        bool(held),
    )
    everything = json.dumps([*one.stranger.requests, *one.stranger.headers])
    yield Result(
        "what the stranger's server was sent",
        "nothing" if everything == "[]" else everything[:100],
        everything != "[]",
    )


@contextmanager
def battlefield() -> Iterator[Attack]:
    """Yield a small study in a folder of its own, with keys planted in this process's environment."""
    root = Path(tempfile.mkdtemp(prefix="attack-keys-"))
    os.environ |= {**PLANTED, "XDG_CONFIG_HOME": str(root / "config"), standby.SECONDS: "3"}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop(VARIABLE, None)
    ws = Workspace(root / "study")
    try:
        with ExitStack() as stack:
            prepare(ws, dataset="world:default", personas=2, dialogues=6)
            yield Attack(ws, stack)
    finally:
        end_group(client.alive(ws), grace_seconds=5.0)
        for record in scan(ws):
            if not record.ended:
                jobs.cancel(ws, record.run_id, grace_seconds=0.0)
        shutil.rmtree(root, ignore_errors=True)


def main() -> int:
    """Run the attack; return 1 where anything was got."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    show: Callable[[Any], None] = (lambda _: None) if given.json else print
    results = []
    with battlefield() as one:
        for result in attacks(one):
            results.append(result)
            show(
                f"{'GOT SOMETHING' if result.got else 'nothing got':14}{result.attack}\n{'':14}{result.told}"
            )
    got = sum(result.got for result in results)
    show(f"{len(results)} attacks, {got} got something.")
    if given.json:
        print(json.dumps({"attacks": [asdict(one) for one in results], "got": got}))
    return 1 if got else 0


if __name__ == "__main__":
    raise SystemExit(main())
