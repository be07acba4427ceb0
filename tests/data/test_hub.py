"""Datasets of the hub: which files a config and a split are, from a local cache and from a server."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.data.hub import Asked, asked, download
from engine.data.sources import Source, read_source
from tools import layouts

COMMIT = "b" * 40
CARD = """---
license: mit
configs:
- config_name: product_review_user
  data_files:
  - split: train
    path: product_review_user/train-*.parquet
  - split: val
    path: product_review_user/val-*.parquet
  - split: test
    path: product_review_user/test-*.parquet
- config_name: chats
  data_files: chats/*.jsonl
---
# Made up
"""


def repository() -> dict[str, bytes]:
    """A dataset of two configs, as the hub would hold it."""
    reviews = {f"product_review_user/{name}": content for name, content in layouts.longlamp().items()}
    return {"README.md": CARD.encode(), "chats/chats.jsonl": layouts.openai()["chats.jsonl"], **reviews}


def cached(home: Path, files: dict[str, bytes]) -> Path:
    """Lay out a hub's cache by hand, as the hub's library does."""
    place = home / "datasets--someone--several"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    (place / "blobs").mkdir()
    for number, (name, content) in enumerate(files.items()):
        (place / "blobs" / str(number)).write_bytes(content)
        link = place / "snapshots" / COMMIT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(*[".."] * (name.count("/") + 2)) / "blobs" / str(number))
    return home


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/name", Asked("owner/name")),
        ("owner/name:config", Asked("owner/name", "config")),
        ("owner/name:config:train", Asked("owner/name", "config", "train")),
        ("owner/name::train", Asked("owner/name", "", "train")),
        ("./owner/name", None),
        ("owner/name.csv", None),
        ("owner", None),
        ("owner/name:a:b:c", None),
    ],
)
def test_what_a_text_asks_of_the_hub(text: str, expected: Asked | None) -> None:
    assert asked(text) == expected


def test_a_config_and_a_split_are_the_files_that_the_card_names(tmp_path: Path) -> None:
    home = cached(tmp_path, repository())
    found = download(Asked("someone/several", "product_review_user"), cache=home, offline=True)
    assert sorted(path.name.split("-")[0] for path in found.files) == ["test", "train", "val"]
    imported = read_source(Source("hub", found.folder, files=found.files))
    assert (imported.importer, len(imported.dataset.personas)) == ("longlamp", layouts.PEOPLE)
    one = download(Asked("someone/several", "product_review_user", "validation"), cache=home, offline=True)
    assert [path.name for path in one.files] == ["val-00000-of-00001.parquet"]
    chats = download(Asked("someone/several", "chats"), cache=home, offline=True)
    assert read_source(Source("hub", chats.folder, files=chats.files)).importer == "openai"


@pytest.mark.parametrize(
    ("wanted", "words", "remedy"),
    [
        (Asked("someone/several"), "several configs: chats, product_review_user", "someone/several:chats"),
        (
            Asked("someone/several", "chat"),
            "no config of someone/several named 'chat'",
            "Did you mean 'chats'",
        ),
        (Asked("someone/several", "product_review_user", "tset"), "no split .* named 'tset'", "'test'"),
    ],
)
def test_a_config_or_split_that_is_none_is_said(
    tmp_path: Path, wanted: Asked, words: str, remedy: str
) -> None:
    home = cached(tmp_path, repository())
    with pytest.raises(EngineError, match=words) as caught:
        download(wanted, cache=home, offline=True)
    assert remedy in caught.value.hint


def test_without_a_card_folders_and_names_tell(tmp_path: Path) -> None:
    files = {name: content for name, content in repository().items() if name != "README.md"}
    home = cached(tmp_path, files)
    found = download(Asked("someone/several", "product_review_user", "test"), cache=home, offline=True)
    assert [path.name for path in found.files] == ["test-00000-of-00001.parquet"]


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A hub that serves the repository, and notes what it is asked for."""
    requests = list[str]()
    held = repository()

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            requests.append(self.path)
            name = self.path.split(f"/resolve/{COMMIT}/")[-1]
            if name in held:
                content, kind = held[name], "application/octet-stream"
            elif "/tree/" in self.path:
                listed = [
                    {"type": "file", "path": one, "size": len(data), "oid": f"{place:040d}"}
                    for place, (one, data) in enumerate(held.items())
                ]
                content, kind = json.dumps(listed).encode(), "application/json"
            else:
                siblings = [
                    {"rfilename": one, "size": len(data), "blobId": "0" * 40} for one, data in held.items()
                ]
                told = {"id": "someone/several", "sha": COMMIT, "siblings": siblings}
                content, kind = json.dumps(told).encode(), "application/json"
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.send_header("etag", f'"{abs(hash(name))}"')
            self.send_header("x-repo-commit", COMMIT)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()


def test_only_what_is_asked_for_is_downloaded(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    address, requests = hub
    wanted = Asked("someone/several", "product_review_user", "test")
    found = download(wanted, cache=tmp_path, endpoint=address)
    assert [path.name for path in found.files] == ["test-00000-of-00001.parquet"]
    assert read_source(Source("hub", found.folder, files=found.files)).importer == "longlamp"
    assert any("/resolve/" in path and "test-00000" in path for path in requests)
    assert not any("train-00000" in path or "chats.jsonl" in path for path in requests)
