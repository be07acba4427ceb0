"""What makes one base another: contents, never names, sizes or times; and what a hub id is pinned to."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from engine.core import base_identity
from engine.core.base_identity import fingerprint_base, pin_base, refuse_other_base
from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40


def base(folder: Path, *, weights: bytes = b"weights", **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def hub_cache(home: Path, commit: str, name: str = "models--lab--tiny") -> Path:
    base(home / name / "snapshots" / commit)
    (home / name / "refs").mkdir(exist_ok=True)
    (home / name / "refs" / "main").write_text(commit)
    return home


@pytest.mark.parametrize("large", [False, True])
def test_only_contents_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    if large:
        monkeypatch.setattr(base_identity, "_SMALL_BASE_BYTES", 0)
    here = base(tmp_path / "here")
    before = fingerprint_base(str(here))
    assert fingerprint_base(str(base(tmp_path / "there"))) == before
    kept = (here / "model.safetensors").stat()
    (here / "model.safetensors").write_bytes(b"WEIGHTS")  # as long, and as old
    os.utime(here / "model.safetensors", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert fingerprint_base(str(here)) != before


@pytest.mark.parametrize("name", ["chat_template__jinja", "tokenizer__json", "merges__txt", "spiece__model"])
def test_tokenizer_and_template_decide_too(tmp_path: Path, name: str) -> None:
    plain = fingerprint_base(str(base(tmp_path)))
    assert fingerprint_base(str(base(tmp_path, **{name: "a"}))) != plain
    assert fingerprint_base(str(base(tmp_path, **{name: "b"}))) != fingerprint_base(
        str(base(tmp_path, **{name: "a"}))
    )


def test_a_licence_decides_nothing(tmp_path: Path) -> None:
    plain = fingerprint_base(str(base(tmp_path)))
    assert fingerprint_base(str(base(tmp_path, LICENSE__txt="free", README__md="read"))) == plain


def test_the_hub_cache_names_its_blobs_by_their_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_identity, "_SMALL_BASE_BYTES", 0)
    plain = base(tmp_path / "plain")
    snapshot, blobs = base(tmp_path / "snapshots" / COMMIT), tmp_path / "blobs"
    blobs.mkdir()
    digest = "e4d2d4c1b1f4cc2c7a1a4d63a3a8ab5e1d8d4ff0ed5b5b1d8c0b5c4f6a5a9d11"
    blob = (snapshot / "model.safetensors").rename(blobs / digest)
    (snapshot / "model.safetensors").symlink_to(blob)
    assert fingerprint_base(str(snapshot)) != fingerprint_base(str(plain))  # the name is believed, not read


def test_a_run_refuses_a_base_that_was_changed_since_its_launch(tmp_path: Path) -> None:
    folder = base(tmp_path)
    mark = fingerprint_base(str(folder))
    refuse_other_base(str(folder), mark)
    (folder / "model.safetensors").write_bytes(b"others")
    with pytest.raises(EngineError, match="was changed since") as caught:
        refuse_other_base(str(folder), mark)
    assert "Launch" in caught.value.hint


def test_a_hub_id_is_pinned_to_the_commit_in_the_cache(tmp_path: Path) -> None:
    cache = hub_cache(tmp_path, COMMIT)
    assert pin_base("lab/tiny", cache=cache) == f"lab/tiny@{COMMIT}"
    assert pin_base(f"lab/tiny@{OTHER}", cache=cache) == f"lab/tiny@{OTHER}"
    assert pin_base("embedded") == "embedded"
    assert fingerprint_base(f"lab/tiny@{COMMIT}") == COMMIT[:16]
    hub_cache(tmp_path, OTHER)  # the branch has moved
    assert pin_base("lab/tiny", cache=cache) == f"lab/tiny@{OTHER}"


class Hub(BaseHTTPRequestHandler):
    """What the hub says of one model."""

    def do_GET(self) -> None:
        known = self.path.startswith("/api/models/lab/tiny")
        body = json.dumps({"id": "lab/tiny", "sha": OTHER} if known else {"error": "no such model"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("hub")
def test_a_hub_id_that_is_not_in_the_cache_is_pinned_by_the_hub(tmp_path: Path) -> None:
    assert pin_base("lab/tiny", cache=tmp_path) == f"lab/tiny@{OTHER}"
    with pytest.raises(EngineError, match="cannot be pinned") as caught:
        pin_base("lab/absent", cache=tmp_path)
    assert "hf download lab/absent" in caught.value.hint


def test_a_workspace_made_before_stands_on_the_revision_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    ws = Workspace(tmp_path)
    write_json(ws.config, {"base": "lab/tiny", "dataset": {}, "split": "by-time", "seed": 0})
    with pytest.raises(EngineError, match="no revision yet") as caught:
        base_identity.base_of(ws)
    assert "hf download lab/tiny" in caught.value.hint
    hub_cache(tmp_path / "hub", COMMIT)
    assert base_identity.base_of(ws).name == f"lab/tiny@{COMMIT}"
