"""Models of the hub: what is fetched, what the cache alone gives, and what it refuses, over a local hub."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.core.paths import REPOSITORY
from engine.lm.hub import missing_files, needed

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Speaks as much of the hub's API as fetching a model takes."""

    folder: Path
    files: dict[str, bytes]
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0]
        self.asked.append(path)
        if path.startswith(("/api/models/them/gated", "/them/gated")):
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
        elif path in ("/api/models/them/model", f"/api/models/them/model/revision/{COMMIT}"):
            told = {
                "id": "them/model",
                "sha": COMMIT,
                "siblings": [{"rfilename": name} for name in self.files],
            }
            self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"}, body=body)
        elif path.startswith(f"/api/models/them/model/tree/{COMMIT}"):
            told_files = [
                {"type": "file", "path": name, "size": len(content), "oid": f"{number:040x}"}
                for number, (name, content) in enumerate(self.files.items())
            ]
            self._send(200, json.dumps(told_files).encode(), {"Content-Type": "application/json"}, body=body)
        elif path.startswith(f"/them/model/resolve/{COMMIT}/"):
            name = path.split(f"{COMMIT}/", 1)[1]
            told_headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{abs(hash(name)):x}"'}
            self._send(200, self.files[name], told_headers, body=body)
        elif path.startswith("/api/models/them/model/revision/"):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
        else:
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)

    def _send(self, code: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(tiny_base: Path) -> Iterator[tuple[str, type[Hub]]]:
    files = {path.name: path.read_bytes() for path in sorted(tiny_base.iterdir())}
    files |= {"consolidated.safetensors": b"x", "original/model.safetensors": b"x", "pytorch_model.bin": b"x"}
    serving = type("Serving", (Hub,), {"files": files, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), serving)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", serving
    server.shutdown()
    thread.join()


def fetch(name: str, home: Path, endpoint: str, **more: str) -> dict[str, Any]:
    """Fetch in a process of its own, for the hub's library reads its surroundings once."""
    code = (
        "import json, sys\nfrom engine.core.errors import EngineError\nfrom engine.lm.hub import hub_folder\n"
        "try:\n    print(json.dumps({'folder': str(hub_folder(sys.argv[1]))}))\n"
        "except EngineError as error:\n    print(json.dumps({'error': error.message, 'hint': error.hint}))\n"
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "HF_HOME": str(home), "HF_ENDPOINT": endpoint}
    env |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **more}
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_only_what_loading_takes_is_fetched_and_the_hub_is_asked_once(
    hub: tuple[str, type[Hub]], tmp_path: Path
) -> None:
    endpoint, serving = hub
    folder = Path(fetch("them/model", tmp_path, endpoint)["folder"])
    assert folder.name == COMMIT
    there = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= there
    assert not there & {"consolidated.safetensors", "original", "pytorch_model.bin"}
    before = len(serving.asked)
    assert fetch(f"them/model@{COMMIT}", tmp_path, endpoint)["folder"] == str(folder)
    assert len(serving.asked) == before


def test_a_cache_that_holds_what_loading_takes_is_used_without_a_network(
    hub: tuple[str, type[Hub]], tmp_path: Path
) -> None:
    endpoint, serving = hub
    folder = Path(fetch("them/model", tmp_path, endpoint)["folder"])
    (folder / "generation_config.json").unlink()
    offline = {"HF_HUB_OFFLINE": "1"}
    assert fetch(f"them/model@{COMMIT}", tmp_path, endpoint, **offline)["folder"] == str(folder)
    (folder / "model.safetensors").unlink()
    told = fetch(f"them/model@{COMMIT}", tmp_path, endpoint, **offline)
    assert "lacks model.safetensors" in told["error"]
    assert "HF_HUB_OFFLINE" in told["error"]
    assert f"hf download them/model --revision {COMMIT}" in told["hint"]
    assert fetch(f"them/model@{COMMIT}", tmp_path, endpoint)["folder"] == str(folder)


def test_what_the_hub_refuses_is_said_with_the_remedy(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    endpoint, serving = hub
    gated = fetch("them/gated", tmp_path, endpoint)
    assert "gated" in gated["error"]
    assert "hf auth login" in gated["hint"]
    unknown = fetch("them/nothing", tmp_path, endpoint)
    assert "There is no model them/nothing on the hub" in unknown["error"]
    assert "no revision older" in fetch("them/model@older", tmp_path, endpoint)["error"]
    serving.files = {"config.json": b"{}", "pytorch_model.bin": b"x"}
    assert "no safetensors" in fetch("them/model", tmp_path / "other", endpoint)["error"]


def test_of_shards_all_are_needed(tiny_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "sharded"))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert missing_files(folder) == ["model-00002-of-00002.safetensors"]
    listed = [
        *index["weight_map"].values(),
        "consolidated.safetensors",
        "README.md",
        "original/tokenizer.model",
    ]
    assert needed(["config.json", *listed]) == ["config.json", *index["weight_map"].values()]
