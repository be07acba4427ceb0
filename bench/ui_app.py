"""The app in a process of its own, with a clock in it: each run of a page's script is a line of a log."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.core.paths import REPOSITORY, Workspace


@dataclass(frozen=True, slots=True)
class Rerun:
    """One run of a page's script in the app."""

    fragment: bool
    seconds: float
    cpu_seconds: float


def serve(port: int, log: Path) -> None:
    """Run the app in this process; every run of a script becomes a line of `log`."""
    from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
    from streamlit.web import cli

    run_script = ScriptRunner._run_script

    def clocked(self: Any, rerun_data: Any) -> None:
        began, cpu = time.perf_counter(), time.process_time()
        run_script(self, rerun_data)
        spent, worked = time.perf_counter() - began, time.process_time() - cpu
        told = Rerun(bool(rerun_data.fragment_id_queue), spent, worked)
        with log.open("a") as file:
            file.write(json.dumps(asdict(told)) + "\n")

    ScriptRunner._run_script = clocked  # type: ignore[method-assign]
    sys.argv = ["streamlit", "run", str(REPOSITORY / "app.py"), "--server.port", str(port)]
    cli.main()


@dataclass(frozen=True, slots=True)
class App:
    """A running app: its address, its process and its log."""

    address: str
    pid: int
    log: Path

    def reruns(self) -> list[Rerun]:
        """Return the runs of whole pages so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [one for one in (Rerun(**json.loads(line)) for line in lines) if not one.fragment]

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, what: str = "VmRSS") -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


@contextmanager
def running(ws: Workspace, folder: Path) -> Iterator[App]:
    """Start the app over a study and wait until it answers; end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = folder / f"reruns-{port}.jsonl"
    command = [sys.executable, "-m", "bench.ui_app", str(port), str(log)]
    environment = {**os.environ, "PERSONA_LAB_WORKSPACE": str(ws.root)}
    with (folder / f"app-{port}.log").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait(f"http://localhost:{port}/_stcore/health")
            yield App(f"http://localhost:{port}", process.pid, log)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def _wait(address: str, seconds: float = 180.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"The app did not answer at {address}.")


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
