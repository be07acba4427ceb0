"""The results database: always what the folders say, whatever happens to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace, read_json, write_json
from engine.results import store
from engine.results.store import database, filling
from engine.runs import manifest
from engine.runs.context import RunContext
from engine.runs.runfolder import write_spec
from engine.strategies.plan import plan
from tests.workspaces import finish, leave


def names(ws: Workspace) -> list[str]:
    return [variant.variant for variant in store.variants(ws)]


def test_finished_runs_are_taken_in_once(ws: Workspace) -> None:
    gain = finish(ws, "gain")
    count = plan(ws, "count").target.run_id
    assert set(store.refresh(ws).taken_in) == {gain, count}
    assert store.refresh(ws) == store.Report()
    assert names(ws) == ["count", "gain"]
    table = store.score_table(ws, metric="embedding_similarity", split="test")
    assert list(table.columns) == ["variant", "persona_id", "example_id", "value"]
    assert table.groupby("variant").size().to_dict() == {"count": 24, "gain": 24}
    assert table["example_id"].str.contains("test").all()


def test_an_unchanged_workspace_is_not_even_opened(ws: Workspace) -> None:
    finish(ws, "count")
    store.refresh(ws)
    held = duckdb.connect(str(ws.database))  # an opening would now be refused
    try:
        assert store.refresh(ws) == store.Report()
    finally:
        held.close()


def test_undefined_scores_are_counted_and_never_zero(ws: Workspace) -> None:
    finish(ws, "count")
    means = store.persona_means(ws, metric="device_f1", split="test")
    assert means["mean"].tolist() == [0.5] * 6
    assert means["n"].tolist() == [3] * 6
    assert means["n_undefined"].tolist() == [1] * 6
    undefined = store.persona_means(ws, metric="param_f1", split="test")
    assert undefined["mean"].isna().all()
    assert undefined["n_undefined"].tolist() == [4] * 6


def test_what_the_variants_said_can_be_read_by_persona_variant_and_example(ws: Workspace) -> None:
    finish(ws, "gain")
    rows = store.example_rows(ws, persona_id="p01", split="val")
    assert len(rows) == 8
    assert set(rows["persona_id"]) == {"p01"}
    rows = store.example_rows(ws, split="test", persona_id="p02")
    one = rows[(rows["variant"] == "gain") & (rows["example_id"] == "p02/test-3#1")]
    assert one["reply"].tolist() == ["gain says 3"]
    assert one["reference"].tolist() == ["reference 3"]


def test_scores_of_some_are_those_of_all_without_the_others(ws: Workspace) -> None:
    finish(ws, "gain")
    protocol = str(store.newest_protocol(ws))
    for metric in ("embedding_similarity", "param_f1"):
        asked = {"metric": metric, "split": "test", "protocol": protocol}
        every = store.score_table(ws, **asked)
        persona = every["persona_id"].iloc[-1]
        assert store.personas_scored(ws, **asked) == tuple(sorted(every["persona_id"].unique()))
        for told, chosen in (
            ({"variants": ["gain"]}, every["variant"] == "gain"),
            ({"persona_id": persona}, every["persona_id"] == persona),
            (
                {"variants": ["gain", "nobody"], "persona_id": persona},
                (every["variant"] == "gain") & (every["persona_id"] == persona),
            ),
        ):
            assert 0 < chosen.sum() < len(every)
            pd.testing.assert_frame_equal(
                store.score_table(ws, **asked, **told), every[chosen].reset_index(drop=True)
            )


def test_protocols_are_kept_apart_and_the_newest_comes_first(ws: Workspace) -> None:
    finish(ws, "count")
    finish(ws, "count", {"max_new_tokens": 32})
    frame = store.protocols(ws)
    assert frame["fields"].iloc[0]["max_new_tokens"] == 32
    assert frame["protocol"].nunique() == 2
    assert store.newest_protocol(ws) == frame["protocol"].iloc[0]
    assert len(store.score_table(ws, metric="device_f1", split="test")) == 24


def test_the_same_name_with_other_parameters_gets_a_suffix(ws: Workspace) -> None:
    finish(ws, "count")
    finish(ws, "count", {"lift": 0.2})
    finish(ws, "count", {"lift": 0.3})
    shown = store.variants(ws)
    assert [variant.name for variant in shown] == ["count"] * 3
    assert shown[0].variant == "count"
    assert shown[0].default
    assert [one.variant for one in shown[1:]] == [f"count@{one.variant_id}" for one in shown[1:]]


def test_one_recipe_scored_by_two_runs_is_one_variant_with_the_newest_scores(ws: Workspace) -> None:
    first = finish(ws, "count")
    planned = plan(ws, "count", {"ticks": 4})
    leave(ws, planned)
    second = planned.target.run_id
    _change_variant(ws, second, recipe=store.variants(ws)[0].recipe, name="count+nothing")
    assert names(ws) == ["count"]
    assert set(store.variants(ws)[0].aliases) == {"count-alias", "count+nothing"}
    assert store.variants(ws)[0].run_id == first
    rows = store.example_rows(ws, split="test")
    assert len(rows) == 24
    assert set(rows["reply"].str.split().str[0]) == {"count+nothing"}


def _change_variant(ws: Workspace, run_id: str, *, recipe: Mapping[str, Any], name: str) -> None:
    """Let a finished run have made another variant, and seal its folder again."""
    folder = ws.run_folder(run_id)
    (entry,) = read_json(folder / "variants.json")
    write_json(folder / "variants.json", [{**entry, "recipe": dict(recipe), "name": name, "aliases": []}])
    table = pd.read_parquet(folder / "scores.parquet")
    said = table["reply"].str.replace("count", name)
    table.assign(variant=name, reply=said).to_parquet(folder / "scores.parquet")
    manifest.write(ws, run_id)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda folder: (folder / "scores.parquet").write_bytes(b"PAR1"),
            "scores.parquet was changed or cut off",
        ),
        (lambda folder: (folder / "scores.parquet").unlink(), "scores.parquet is missing"),
        (lambda folder: (folder / "done.json").write_text('{"run_id": "co'), "done.json is not valid JSON"),
        (lambda folder: (folder / "done.json").write_text("[]"), "of another form"),
        (lambda folder: (folder / "spec.json").write_text("{}"), "spec.json"),
    ],
)
def test_a_torn_folder_is_reported_and_not_taken_in(ws: Workspace, damage: object, reason: str) -> None:
    gain = finish(ws, "gain")
    damage(ws.run_folder(gain))  # type: ignore[operator]
    for report in (store.refresh(ws), store.refresh(ws), store.rebuild(ws)):
        assert [torn.run_id for torn in report.torn] == [gain]
        assert reason in report.torn[0].reason
    assert names(ws) == ["count"]


def test_a_torn_folder_that_is_restored_is_taken_in(ws: Workspace) -> None:
    scores = ws.run_folder(finish(ws, "count")) / "scores.parquet"
    whole = scores.read_bytes()
    scores.write_bytes(whole[:100])
    assert store.refresh(ws).torn
    scores.write_bytes(whole)
    assert not store.refresh(ws).torn
    assert names(ws) == ["count"]


def test_doubled_rows_and_undeclared_variants_are_refused(ws: Workspace) -> None:
    run_id = finish(ws, "count")
    path = ws.run_folder(run_id) / "scores.parquet"
    table = pd.read_parquet(path)
    pd.concat([table, table.head(2)]).to_parquet(path)
    manifest.write(ws, run_id)
    assert "2 rows twice" in store.refresh(ws).torn[0].reason
    table.assign(variant="stranger").to_parquet(path)
    manifest.write(ws, run_id)
    assert "did not declare: stranger" in store.refresh(ws).torn[0].reason


def test_a_deleted_run_leaves_the_database(ws: Workspace) -> None:
    gain = finish(ws, "gain")
    before = store.version(ws)
    assert names(ws) == ["count", "gain"]
    shutil.rmtree(ws.run_folder(gain))
    assert store.version(ws) != before
    assert store.refresh(ws).removed == (gain,)
    assert names(ws) == ["count"]


def test_a_run_without_scores_is_taken_in(ws: Workspace) -> None:
    spec = plan(ws, "count").target.spec
    with RunContext(ws, spec) as context:
        context.variant("count", {"adapters": []}, family="test")
    write_spec(context.folder, spec)
    manifest.write(ws, spec.run_id)
    assert store.refresh(ws).taken_in == (spec.run_id,)
    assert store.overview(ws).coverage.empty
    assert store.newest_protocol(ws) is None


@pytest.mark.parametrize("damage", ["deleted", "junk", "cut", "middle", "empty"])
def test_a_damaged_database_is_built_again(
    ws: Workspace, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    finish(ws, "gain")
    before = store.score_table(ws, metric="embedding_similarity", split="test")
    size = ws.database.stat().st_size
    if damage == "deleted":
        ws.database.unlink()
    elif damage == "cut":
        os.truncate(ws.database, size // 3)
    else:
        content = {"junk": b"junk" * 5000, "empty": b"", "middle": _hole(ws.database)}[damage]
        ws.database.write_bytes(content)
    after = store.score_table(ws, metric="embedding_similarity", split="test")
    pd.testing.assert_frame_equal(before, after)
    told = "built again from the run folders" in caplog.text
    assert told == (damage != "deleted")


class _Interrupts:
    """Something to be taken in whose reading Ctrl-C interrupts."""

    def __arrow_c_schema__(self) -> None:
        raise KeyboardInterrupt

    def __arrow_c_stream__(self, _: object = None) -> None:
        raise KeyboardInterrupt


def _ask_long(connection: duckdb.DuckDBPyConnection) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    held = "range(100000) a, range(100000) b where (a.range * b.range) % 7 = 3"
    connection.execute(f"select count(*) from {held}").fetchall()


@pytest.mark.parametrize("ask", [_ask_long, lambda held: held.register("odd", _Interrupts())])
def test_a_question_that_is_interrupted_is_no_damage(
    ws: Workspace, ask: Callable[[duckdb.DuckDBPyConnection], Any], caplog: pytest.LogCaptureFixture
) -> None:
    finish(ws, "gain")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            database.ask(ws, ask)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not caplog.text
    assert not list(ws.root.glob("*.damaged"))
    assert names(ws)


def _hole(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = b"\xff" * third
    return bytes(content)


def test_a_database_held_by_another_program_is_left_alone(ws: Workspace) -> None:
    finish(ws, "count")
    store.refresh(ws)
    opened = f"import duckdb, time; held = duckdb.connect({str(ws.database)!r})"
    program = f"{opened}; print('open', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(EngineError, match="open in another program"):
            store.variants(ws)
    finally:
        holder.kill()
        holder.communicate()
    assert names(ws) == ["count"]


def test_four_processes_take_in_the_same_folders_at_once(ws: Workspace) -> None:
    for lift in range(6):
        finish(ws, "count", {"lift": lift / 10})
    program = (
        "import sys; from pathlib import Path; from engine.core.paths import Workspace\n"
        "from engine.results import store\n"
        "ws = Workspace(Path(sys.argv[1]))\n"
        "for _ in range(5):\n"
        "    store.refresh(ws); names = [one.variant_id for one in store.variants(ws)]\n"
        "    assert len(names) == len(set(names)) == 6, names\n"
        "    assert len(store.score_table(ws, metric='device_f1', split='test')) == 6 * 24\n"
    )
    command = [sys.executable, "-c", program, str(ws.root)]
    workers = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE) for _ in range(4)]
    for worker in workers:
        _, said = worker.communicate(timeout=400)
        assert worker.returncode == 0, said.decode()
    connection = duckdb.connect(str(ws.database))
    assert connection.execute("select count(*), count(distinct run_id) from answers").fetchone() == (
        6 * 48,
        6,
    )
    connection.close()


def test_unknown_names_are_clear_errors(ws: Workspace, tmp_path: Path) -> None:
    finish(ws, "count")
    with pytest.raises(EngineError, match="no metric named 'device_f2'") as caught:
        store.score_table(ws, metric="device_f2", split="test")
    assert "device_f1" in caught.value.hint
    with pytest.raises(EngineError, match="not a workspace"):
        store.variants(Workspace(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_torn_folder_is_looked_through_once_as_it_lies(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    gain = finish(ws, "gain")
    torn, looked, read = ws.run_folder(gain) / "scores.parquet", list[str](), filling.read_finished

    def counted(ws: Workspace, run_id: str) -> Any:
        looked.append(run_id)
        return read(ws, run_id)

    monkeypatch.setattr(filling, "read_finished", counted)
    for content, times in ((b"torn", 1), (b"torn otherwise", 2)):
        torn.write_bytes(content)
        for _ in range(3):
            store.variants(ws)
        assert looked.count(gain) == times
