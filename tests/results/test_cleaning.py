"""What could go is found and sized, and nothing that somebody needs is among it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.results import cleaning, store
from engine.runs.runfolder import Status, read_status, write_status
from engine.strategies import deleting
from tests.workspaces import finish


def put(path: Path, size: int, *, old: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    if old:
        os.utime(path, (1, 1))
    return path


def found(ws: Workspace) -> dict[str, list[tuple[str, int]]]:
    kinds: dict[str, list[tuple[str, int]]] = {}
    for one in cleaning.leftovers(ws):
        kinds.setdefault(one.kind, []).append((str(one.path.relative_to(ws.root)), one.size_bytes))
    return kinds


@pytest.fixture
def used(ws: Workspace) -> tuple[str, str]:
    """A workspace with a run that is done and one that failed, and something of every kind."""
    done, failed = finish(ws, "gain"), finish(ws, "count")
    (ws.run_folder(failed) / "done.json").unlink()
    write_status(ws.run_folder(failed), Status(state="failed", attempt=1))
    store.refresh(ws)
    put(ws.run_folder(done) / "checkpoint" / "wave-0.safetensors", 1_000)
    put(ws.run_folder(failed) / "checkpoint" / "wave-0.safetensors", 500)
    put(ws.adapters(done) / "p00" / "adapter_model.safetensors", 7_000)
    put(ws.models / "hybrid-0123abcd" / "p00" / "adapter_model.safetensors", 4_000)
    put(ws.models / "base" / "model.safetensors", 9_000)
    put(ws.data / ".splits.json.a1b2c3d4", 300, old=True)
    put(ws.data / ".splits.json.a1b2c3d5", 300)
    put(ws.data / ".incoming-a1b2c3d4" / "dialogues.jsonl", 600)
    os.utime(ws.data / ".incoming-a1b2c3d4", (1, 1))
    put(ws.data / "rescored" / done / ".politeness.parquet.a1b2c3d4", 50, old=True)
    put(ws.root / "results.duckdb.damaged", 800)
    put(ws.data / "cache" / "embeddings.bin", 200)
    put(ws.data / "rescored" / "long-gone-0123abcd" / "politeness.parquet", 100)
    return done, failed


def test_what_could_go_is_shown_by_kind_and_nothing_else_is(ws: Workspace, used: tuple[str, str]) -> None:
    done, failed = used
    kinds = found(ws)
    unfinished = dict(kinds.pop("unfinished"))
    assert unfinished[f"data/runs/{failed}/checkpoint"] >= 500
    assert dict(kinds.pop("checkpoints"))[f"data/runs/{done}/checkpoint"] >= 1_000
    assert dict(kinds.pop("caches"))["data/cache/embeddings.bin"] == 200
    assert kinds == {
        "adapters": [("models/hybrid-0123abcd", 4_000)],
        "temporary": [
            ("data/.incoming-a1b2c3d4", 600),
            ("data/.splits.json.a1b2c3d4", 300),
            (f"data/rescored/{done}/.politeness.parquet.a1b2c3d4", 50),
        ],
        "damaged": [("results.duckdb.damaged", 800)],
        "outdated": [("data/rescored/long-gone-0123abcd", 100)],
    }


def test_nothing_goes_unasked_and_only_what_is_named(
    ws: Workspace, used: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(ws.root.rglob("*"))
    at = ("--workspace", str(ws.root))
    assert main(["clean", *at]) == 0
    assert "adapters" in capsys.readouterr().out
    assert main(["clean", "adapters", *at]) == 1
    assert "Nothing was taken away" in capsys.readouterr().err
    assert sorted(ws.root.rglob("*")) == before
    variants = store.variants(ws)
    assert main(["clean", "adapters", "checkpoints", "--yes", *at]) == 0
    assert set(found(ws)) == {"unfinished", "temporary", "damaged", "caches", "outdated"}
    assert (ws.adapters(used[0]) / "p00" / "adapter_model.safetensors").exists()
    assert (ws.models / "base" / "model.safetensors").exists()
    assert store.rebuild(ws).torn == ()
    assert store.variants(ws) == variants


def test_what_a_variant_answers_by_and_what_works_is_never_offered(
    ws: Workspace, used: tuple[str, str]
) -> None:
    done, failed = used
    declared = ws.run_folder(done) / "done.json"
    told = read_json(declared)
    told["variants"][0]["recipe"] = {
        "adapters": [{"run": "hybrid-0123abcd"}],
        "profile": False,
        "memories": 0,
    }
    write_json(declared, told)
    write_status(ws.run_folder(failed), Status(state="queued", attempt=1))
    kinds = found(ws)
    assert "adapters" not in kinds
    assert "unfinished" not in kinds
    assert "caches" not in kinds  # a run that waits may read them
    assert read_status(ws.run_folder(failed)).state == "queued"


def test_where_no_database_can_be_written_something_can_still_go(
    ws: Workspace, used: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ws.database.unlink()
    ws.database.mkdir()  # as on a full disk, where clean is what helps
    assert main(["clean", "checkpoints", "adapters", "--yes", "--workspace", str(ws.root)]) == 0
    assert "Gone: 2 files and folders" in capsys.readouterr().out
    assert not (ws.models / "hybrid-0123abcd").exists()
    assert ws.adapters(used[0]).exists()


def test_a_deleted_run_counts_whole_and_can_be_brought_back_until_it_goes(
    ws: Workspace, used: tuple[str, str]
) -> None:
    done = used[0]
    put(ws.data / "rescored" / done / "politeness.parquet", 100)
    deleting.delete(ws, [done])
    kinds = found(ws)
    assert [size for _, size in kinds["deleted"]] == [deleting.deleted(ws)[0].size_bytes]
    assert [path for path, _ in kinds["outdated"]] == ["data/rescored/long-gone-0123abcd"]
    cleaning.clean(ws, [kind for kind in cleaning.KINDS if kind != "deleted"])
    deleting.restore(ws, [done])
    assert (ws.adapters(done) / "p00" / "adapter_model.safetensors").exists()
    assert (ws.data / "rescored" / done / "politeness.parquet").exists()
    deleting.delete(ws, [done])
    assert [one.run_id for one in cleaning.clean(ws, ["deleted"])] == [done]
    assert not deleting.deleted(ws)
    assert "deleted" not in found(ws)


def test_a_link_is_neither_followed_nor_removed(ws: Workspace, tmp_path: Path) -> None:
    finish(ws, "gain")
    elsewhere = put(tmp_path / "elsewhere" / "adapter_model.safetensors", 10)
    ws.models.mkdir(exist_ok=True)
    (ws.models / "hybrid-0123abcd").symlink_to(elsewhere.parent)
    assert "adapters" not in found(ws)
    cleaning.clean(ws, list(cleaning.KINDS))
    assert elsewhere.exists()
    with pytest.raises(EngineError, match="kind of leftover"):
        cleaning.clean(ws, ["everything"])
