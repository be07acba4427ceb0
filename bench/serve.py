"""Serving many personas' adapters at one address, beside `transformers serve` with one of them merged.

    .venv/bin/python -m engine bench serve             20 personas of the embedded base, 1, 8 and 32 clients

Makes a small study in a temporary folder (per-persona adapters), serves it with `serve`, and lets 1, 8 and 32
clients ask at once, each client a persona, through the openai client; then exports one persona's merged model
and asks `transformers serve` the same messages of it. Replies are greedy, of at most 32 tokens. Told are
requests a second, the 95th percentile of a request's seconds, and the server's processor time for one, which
depends least on what else the machine does. Both servers run on the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.ground import ROOT

CLIENTS = (1, 8, 32)
NEW = 32
_START_SECONDS = 180.0


def engine(*words: str) -> None:
    """Run a command of the product; what it says of an error ends the benchmark."""
    done = subprocess.run([sys.executable, "-m", "engine", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stdout}{done.stderr}")


@contextmanager
def ours(ws: Path) -> Iterator[tuple[str, str, str]]:
    """Serve the per-persona adapters; give address, token and model."""
    command = [sys.executable, "-m", "engine", "serve", "per-persona", "--port", "0", "--json"]
    server = subprocess.Popen([*command, "--workspace", str(ws)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = server.stdout.readline()
            if not line:
                sys.exit("serve ended at once")
            text += line
        told = json.loads(text)
        yield told["address"], told["token"], "per-persona"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def theirs(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Serve one merged model by `transformers serve`; give address, token and model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder), "--port", str(port)]
    told = {**os.environ, "HF_HUB_OFFLINE": "1"}
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--device", "cpu", "--dtype", "float32", "--log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=told,
    )
    until = time.monotonic() + _START_SECONDS
    try:
        while True:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if server.poll() is not None or time.monotonic() > until:
                sys.exit("transformers serve did not start: it needs fastapi and uvicorn")
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1", "none", str(folder)
    finally:
        server.terminate()
        server.wait()


def ask_all(
    way: str, at: tuple[str, str, str], asked: list[tuple[str, str]], clients: int, system: str = ""
) -> dict[str, Any]:
    """Let so many clients ask the messages (persona, text), one after another each; return a row."""
    from openai import OpenAI

    address, token, model = at
    client = OpenAI(base_url=address, api_key=token, timeout=600.0)

    def one(message: tuple[str, str]) -> tuple[float, int]:
        persona, text = message
        said = [{"role": "system", "content": system}] if system else []
        began = time.perf_counter()
        answered = client.chat.completions.create(
            model=model,
            messages=[*said, {"role": "user", "content": text}],  # type: ignore[list-item]
            max_tokens=NEW,
            temperature=0.0,
            user=persona,
        )
        return time.perf_counter() - began, answered.usage.completion_tokens if answered.usage else 0

    one(asked[0])
    began, spent = time.perf_counter(), _server_seconds()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(one, asked))
    seconds = sorted(took for took, _ in answers)
    wall, spent = time.perf_counter() - began, _server_seconds() - spent
    return {
        "way": way,
        "clients": clients,
        "requests_a_second": round(len(asked) / wall, 1),
        "tokens_a_second": round(sum(said for _, said in answers) / wall),
        "median_seconds": round(statistics.median(seconds), 3),
        "p95_seconds": round(seconds[int(0.95 * (len(seconds) - 1))], 3),
        "processor_ms": round(1000 * spent / len(asked), 1),
    }


def _server_seconds() -> float:
    """The processor time that the server has taken so far: it is the one process started from here."""
    started = psutil.Process().children(recursive=True)
    return sum(one.cpu_times().user + one.cpu_times().system for one in started)


def main() -> None:
    """Measure both and print a table."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--personas", type=int, default=20)
    made.add_argument("--requests", type=int, default=96, help="Requests at each number of clients.")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    options = made.parse_args()
    from engine.core.paths import Workspace
    from engine.data.dataset import examples, load_dataset, load_splits
    from engine.domains.registry import domain_of
    from engine.lm.prompts import system_text

    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(Path(folder) / "study")
        told = ("--workspace", str(ws.root))
        engine(
            "init",
            *told,
            "--dataset",
            "world:default",
            "--personas",
            str(options.personas),
            "--dialogues",
            "8",
        )
        settings = ("--set", "epochs=1", "--set", "examples_per_persona=1", "--no-controls")
        engine("run", "per-persona", *settings, *told)
        known = load_dataset(ws)
        test = examples(known, load_splits(ws), "test")
        firsts = [one for one in test if len(one.context) == 1]
        asked = [(one.persona_id, one.context[-1].text) for one in (firsts * options.requests)][
            : options.requests
        ]
        whom, rows = known.personas[0].persona_id, list[dict[str, Any]]()
        alone = [(whom, text) for _, text in asked]
        with ours(ws.root) as at:
            for way, messages in (("serve, all personas", asked), ("serve, one persona", alone)):
                rows += [ask_all(way, at, messages, clients) for clients in CLIENTS]
        engine("export", "per-persona", str(Path(folder) / "out"), "--merged", whom, *told)
        system = system_text(domain_of(ws))
        with theirs(Path(folder) / "out" / "merged") as at:
            rows += [
                ask_all("transformers serve, that persona merged", at, asked, clients, system)
                for clients in CLIENTS
            ]
    if options.json:
        print(json.dumps({"personas": options.personas, "rows": rows}))
        return
    for row in rows:
        print(
            f"{row['way']:<40} {row['clients']:>3} clients {row['requests_a_second']:>6} requests/s "
            f"{row['tokens_a_second']:>5} tokens/s "
            f"median {row['median_seconds']:.3f} s, p95 {row['p95_seconds']:.3f} s, "
            f"processor {row['processor_ms']:.0f} ms a request"
        )


if __name__ == "__main__":
    main()
