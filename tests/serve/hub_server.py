"""A hub of one account on this machine: the HTTP API that huggingface_hub uploads and reads by.

Keeps repositories in memory. Speaks /api/whoami-v2, repos/create, validate-yaml, preupload, Git LFS' batch,
upload and verify, commit (NDJSON), model info, and resolve. Asks for a token everywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ACCOUNT = "somebody"
TOKEN = "hf_a-token-of-the-test"


@dataclass
class Repository:
    """One repository: its files as they were committed last, and the messages of its commits."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1(json.dumps([len(self.messages), sorted(self.files)]).encode()).hexdigest()


@dataclass
class Hub:
    """What the server holds, and each request that it heard: method, path and body."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    heard: list[tuple[str, str, bytes]] = field(default_factory=list)
    is_full: bool = False


@contextmanager
def running() -> Iterator[Hub]:
    """Run a hub on a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Serving", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer(b"")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    do_PUT = do_POST

    def _answer(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        self.hub.heard.append((self.command, path, body))
        stored = path.startswith("/storage/")  # a signed address in the true hub
        if not stored and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json(401, {"error": "Invalid username or password."})
        elif self.command == "PUT" and stored:
            self.hub.blobs[path.removeprefix("/storage/")] = body
            self._json(200, {})
        elif path == "/api/whoami-v2":
            self._json(200, {"type": "user", "name": ACCOUNT, "orgs": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            told = json.loads(body)["content"].startswith("---\n")
            self._json(200, {"errors": [] if told else [{"message": "no header"}], "warnings": []})
        elif path.startswith("/api/models/"):
            self._model(path.removeprefix("/api/models/"), body)
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path == "/verify":
            asked = json.loads(body)
            self._json(200 if len(self.hub.blobs.get(asked["oid"], b"")) == asked["size"] else 404, {})
        else:
            self._resolve(path)

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization'] or ACCOUNT}/{asked['name']}"
        if name.split("/")[0] != ACCOUNT:
            self._json(403, {"error": "You don't have the rights to create a model there."})
            return
        private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
        self.hub.repositories[name] = Repository(private)
        self._json(200, {"url": f"{self.hub.address}/{name}", "name": name})

    def _model(self, rest: str, body: bytes) -> None:
        owner, name, *what = rest.split("/")
        found = self.hub.repositories.get(f"{owner}/{name}")
        if found is None:
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif what[:1] == ["preupload"]:
            asked = json.loads(body)["files"]
            modes = {True: "lfs", False: "regular"}
            files = [
                {
                    "path": one["path"],
                    "uploadMode": modes[one["path"].endswith(".safetensors")],
                    "shouldIgnore": False,
                }
                for one in asked
            ]
            self._json(200, {"files": files})
        elif what[:1] == ["commit"]:
            self._commit(f"{owner}/{name}", found, body)
        elif what[:1] == ["tree"]:
            told = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in sorted(found.files.items())
            ]
            self._json(200, told)
        else:
            siblings = [{"rfilename": one} for one in sorted(found.files)]
            self._json(
                200,
                {
                    "id": f"{owner}/{name}",
                    "modelId": f"{owner}/{name}",
                    "sha": found.sha,
                    "private": found.private,
                    "siblings": siblings,
                    "tags": [],
                },
            )

    def _batch(self, asked: dict[str, Any]) -> None:
        """Git LFS' answer: where each object is sent, nothing for those that are there."""
        objects: list[dict[str, Any]] = []
        for one in asked["objects"]:
            entry = {"oid": one["oid"], "size": one["size"]}
            if self.hub.is_full:
                entry["error"] = {"code": 507, "message": "Your storage is full."}
            elif one["oid"] not in self.hub.blobs:
                entry["actions"] = {
                    "upload": {"href": f"{self.hub.address}/storage/{one['oid']}"},
                    "verify": {"href": f"{self.hub.address}/verify"},
                }
            objects.append(entry)
        self._json(200, {"transfer": "basic", "objects": objects})

    def _commit(self, name: str, found: Repository, body: bytes) -> None:
        for line in body.splitlines():
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "header":
                found.messages.append(value["summary"])
            elif said["key"] == "file":
                found.files[value["path"]] = base64.b64decode(value["content"])
            elif said["key"] == "lfsFile":
                found.files[value["path"]] = self.hub.blobs[value["oid"]]
            elif said["key"] == "deletedFile":
                del found.files[value["path"]]
        told = {"commitUrl": f"{self.hub.address}/{name}/commit/{found.sha}", "commitOid": found.sha}
        self._json(200, told)

    def _resolve(self, path: str) -> None:
        """A file of a repository: /OWNER/NAME/resolve/REVISION/PATH."""
        owner, name, _, _, *rest = path.lstrip("/").split("/") + [""] * 4
        found = self.hub.repositories.get(f"{owner}/{name}")
        content = found.files.get("/".join(one for one in rest if one)) if found else None
        if content is None or found is None:
            self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        told = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": found.sha}
        self._send(200, content, {"Content-Type": "application/octet-stream", **told})

    def _json(self, code: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(code, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass
